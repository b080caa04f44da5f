/**
 * Stops what runs, and then this process, on Ctrl-C, on SIGTERM, and when the parent ends.
 * @param starting what is being started: it must be there before it can be stopped
 */
export function stopOnSignal(starting: Promise<{ stop: () => Promise<void> }>, unlock: () => void): void {
  let stopping = false;
  const stop = async (): Promise<void> => {
    if (stopping) return;
    stopping = true;
    console.log('\nstopping …');
    // Wait for a start in progress: the processes it has started must stop too.
    const stack = await starting.catch(() => undefined);
    await stack?.stop();
    unlock();
    console.log('stopped');
    process.exit(0);
  };
  process.on('SIGINT', () => void stop());
  process.on('SIGTERM', () => void stop());
  process.once('disconnect', () => void stop());
}
