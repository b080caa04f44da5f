export type Load = 'steady' | 'bursty' | 'idle, then burst';

/** Arrival instants in ms, the same for the same seed. */
export function arrivalsOf(
  load: Load,
  { durationMs, perSecond, seed }: { durationMs: number; perSecond: number; seed: number },
): number[] {
  const random = generator(seed);
  const total = Math.round((durationMs / 1_000) * perSecond);
  if (load === 'steady') return Array.from({ length: total }, () => random() * durationMs);
  if (load === 'idle, then burst') return Array.from({ length: total }, () => durationMs * (0.5 + 0.5 * random()));
  const bursts = Array.from({ length: 8 }, () => random() * durationMs);
  return Array.from({ length: total }, () => (bursts[Math.floor(random() * bursts.length)] ?? 0) + random() * 50);
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
