/** In milliseconds. */
export interface Load {
  urgentAtMs: readonly number[];
  patients: readonly Patient[];
}

export interface Patient {
  atMs: number;
  /** The last moment at which it may be sent. */
  sendByMs: number;
}

// A constant of the module: globals are slow where a test runner has its own.
const NEVER = Number.POSITIVE_INFINITY;

interface Sorted {
  urgent: Float64Array;
  came: Float64Array;
  due: Float64Array;
}

/**
 * The least number of messages that must be paid for, by somebody who knows every arrival and reaches the provider in
 * no time. Urgent ones are sent as they come or paid; the provider accepts `limit`, then blocks from the last for `blockMs`.
 *
 * Every window but the last has `limit` of them for free, so the most windows are sought. Let E(w, k) be the earliest
 * end of the w-th when the first k patients are sent or given up: who ends earlier can do whatever the later one can.
 * From it the next opens after a block; with x patients in it, the next x that are not overdue, it ends as soon as
 * those and limit − x urgent ones have come. About (urgents + patients) · patients steps.
 *
 * Exact if nobody who came earlier may be sent later than one who came after him, as with one common patience. Otherwise
 * it is a lower bound: the n-th arrival is given the n-th deadline (sent at the same times, in order of arrival,
 * the n-th neither comes after its time nor is overdue, so this is never harder).
 */
export function leastPaid({ urgentAtMs, patients }: Load, limits: { limit: number; blockMs: number }): number {
  const sorted: Sorted = {
    urgent: Float64Array.from(urgentAtMs).toSorted(),
    came: Float64Array.from(patients, ({ atMs }) => atMs).toSorted(),
    due: Float64Array.from(patients, ({ sendByMs }) => sendByMs).toSorted(),
  };
  let earliest: Float64Array | undefined = new Float64Array(patients.length + 1).fill(NEVER);
  earliest[0] = -NEVER;
  let mostFree = 0;
  for (let windows = 0; earliest !== undefined; windows += 1) {
    mostFree = Math.max(mostFree, windows * limits.limit + mostInLast(earliest, sorted, limits));
    earliest = nextWindow(earliest, sorted, limits);
  }
  return urgentAtMs.length + patients.length - mostFree;
}

/** How many find room in the window after this one if nobody waits for its end. */
function mostInLast(
  earliest: Float64Array,
  { urgent, due }: Sorted,
  { limit, blockMs }: { limit: number; blockMs: number },
): number {
  const left = [...earliest].map((endMs, k) =>
    endMs === NEVER
      ? 0
      : urgent.length - firstFrom(urgent, endMs + blockMs) + due.length - Math.max(k, firstFrom(due, endMs + blockMs)),
  );
  return Math.min(
    limit,
    left.reduce((one, other) => Math.max(one, other)),
  );
}

/** E(w + 1, ·) from E(w, ·), or undefined when there is no further full window. */
function nextWindow(
  earliest: Float64Array,
  { urgent, came, due }: Sorted,
  { limit, blockMs }: { limit: number; blockMs: number },
): Float64Array | undefined {
  const next = new Float64Array(earliest.length).fill(NEVER);
  earliest.forEach((endMs, k) => {
    if (endMs === NEVER) return;
    const opensMs = endMs + blockMs;
    const u = firstFrom(urgent, opensMs);
    const p = Math.max(k, firstFrom(due, opensMs));
    const most = Math.min(limit, came.length - p);
    const least = limit - (urgent.length - u);
    for (let x = least > 0 ? least : 0; x <= most; x += 1) {
      let endsMs = opensMs;
      const lastPatientMs = x === 0 ? opensMs : (came[p + x - 1] ?? NEVER);
      if (lastPatientMs > endsMs) endsMs = lastPatientMs;
      const lastUrgentMs = x === limit ? opensMs : (urgent[u + limit - x - 1] ?? NEVER);
      if (lastUrgentMs > endsMs) endsMs = lastUrgentMs;
      if (endsMs < (next[p + x] ?? NEVER)) next[p + x] = endsMs;
    }
  });
  return next.some((endMs) => endMs < NEVER) ? next : undefined;
}

/** Where the first is that is not before that moment. */
function firstFrom(sorted: Float64Array, atMs: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? NEVER) < atMs) low = middle + 1;
    else high = middle;
  }
  return low;
}
