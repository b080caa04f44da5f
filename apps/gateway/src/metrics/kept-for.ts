/** A store that does not answer must not delay a scrape for longer. */
const TIMEOUT_MS = 1_000;

/**
 * Reads a value that costs a trip to a store at most once in `ttlMs`, however many gauges and scrapes ask for it.
 * @returns a function that never fails: undefined when the store failed, or did not answer in time
 */
export function keptFor<Value>(ttlMs: number, read: () => Promise<Value>): () => Promise<Value | undefined> {
  let readAtMs = -Infinity;
  let kept: Promise<Value | undefined> = Promise.resolve(undefined);
  let isReading = false;
  return () => {
    if (isReading || performance.now() - readAtMs < ttlMs) return kept;
    readAtMs = performance.now();
    isReading = true;
    const value = read()
      .catch(() => undefined)
      .finally(() => (isReading = false));
    kept = orUndefined(value);
    return kept;
  };
}

async function orUndefined<Value>(value: Promise<Value | undefined>): Promise<Value | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, TIMEOUT_MS, undefined);
  });
  try {
    return await Promise.race([value, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
