export type Load = 'steady' | 'bursty' | 'idle, then burst';

const BURSTS = 8;
const BURST_MS = 50;

/** Arrival instants in ms from the start, in order, the same for the same seed. */
export function arrivalsOf(
  load: Load,
  { durationMs, perSecond, seed }: { durationMs: number; perSecond: number; seed: number },
): number[] {
  const random = generator(seed);
  const total = Math.round((durationMs / 1_000) * perSecond);
  const instants = Array.from({ length: total }, chooserOf(load, durationMs, random));
  return instants.toSorted((one, other) => one - other);
}

function chooserOf(load: Load, durationMs: number, random: () => number): () => number {
  if (load === 'steady') return () => random() * durationMs;
  if (load === 'idle, then burst') return () => durationMs * (0.5 + 0.5 * random());
  const bursts = Array.from({ length: BURSTS }, () => random() * (durationMs - BURST_MS));
  return () => (bursts[Math.floor(random() * bursts.length)] ?? 0) + random() * BURST_MS;
}

/** Mulberry32: a small generator of numbers in [0, 1) that can be seeded. */
export function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
