import { seededRandom } from '../seeded-random.js';

export type Load = 'steady' | 'bursty' | 'idle, then burst';

const BURSTS = 8;
const BURST_MS = 50;

/** @returns when messages arrive, in ms from the start, in order; the same for the same seed */
export function arrivalsOf(
  load: Load,
  { durationMs, perSecond, seed }: { durationMs: number; perSecond: number; seed: number },
): number[] {
  const random = seededRandom(seed);
  const total = Math.round((durationMs / 1_000) * perSecond);
  const instants = Array.from({ length: total }, drawerOf(load, durationMs, random));
  return instants.toSorted((one, other) => one - other);
}

function drawerOf(load: Load, durationMs: number, random: () => number): () => number {
  if (load === 'steady') return () => random() * durationMs;
  if (load === 'idle, then burst') return () => durationMs * (0.5 + 0.5 * random());
  const bursts = Array.from({ length: BURSTS }, () => random() * (durationMs - BURST_MS));
  return () => (bursts[Math.floor(random() * bursts.length)] ?? 0) + random() * BURST_MS;
}
