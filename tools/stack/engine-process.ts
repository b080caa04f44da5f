/** Reports 'ready' to the parent process; stops the engine on SIGTERM or when the parent ends. */
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
