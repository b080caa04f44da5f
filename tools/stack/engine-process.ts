/** Tells the parent that the engine is ready, and stops it when told to, or when the parent is gone. */
export function runUntilStopped(stop: () => Promise<void>): void {
  let stopping = false;
  const end = (): void => {
    if (stopping) return;
    stopping = true;
    stop().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  };
  process.once('SIGTERM', end);
  process.once('disconnect', end);
  process.send?.('ready');
}
