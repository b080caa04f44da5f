let stops: (() => Promise<unknown>)[] = [];

/** Whoever interrupts a benchmark leaves nothing behind: engines of this machine would outlive it. */
export function stopOnInterrupt(stop: () => Promise<unknown>): void {
  stops.push(stop);
  if (stops.length > 1) return;
  const end = (exitCode: number) => (): void => {
    const all = stops;
    stops = [];
    void Promise.allSettled(all.map((each) => each())).then(() => process.exit(exitCode));
  };
  process.once('SIGINT', end(130)).once('SIGTERM', end(143)).once('disconnect', end(1));
}
