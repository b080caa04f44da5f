import { generator } from '../arrivals.js';
import type { Load } from './offline-optimum.js';

/** How urgent messages come: at random, at a rate that changes, or many within 50 ms. */
export type UrgentPattern = 'poisson' | { swingMs: number } | { batch: number };

const BATCH_MS = 50;
/** A fifth of the time at 4.2 times the mean… */
const HIGH_SHARE = 0.2;
const HIGH = 4.2;
/** …and otherwise at a fifth of it. */
const LOW = 0.2;

export interface LoadOptions {
  urgentPerMs: number;
  pattern: UrgentPattern;
  patientPerMs: number;
  /** One common patience, or several that are drawn from. */
  patienceMs: readonly number[];
  durationMs: number;
  seed: number;
}

/** Arrivals in order, the same for the same seed. */
export function loadOf(options: LoadOptions): Load {
  const { patientPerMs, patienceMs, durationMs, seed } = options;
  const random = generator(seed);
  const urgentAtMs = urgentArrivals(options, random).toSorted((one, other) => one - other);
  const patients = poisson(patientPerMs, { fromMs: 0, toMs: durationMs }, random).map((atMs) => ({
    atMs,
    sendByMs: atMs + (patienceMs[Math.floor(random() * patienceMs.length)] ?? 0),
  }));
  return { urgentAtMs, patients };
}

function urgentArrivals({ urgentPerMs, pattern, durationMs }: LoadOptions, random: () => number): number[] {
  const all = { fromMs: 0, toMs: durationMs };
  if (pattern === 'poisson') return poisson(urgentPerMs, all, random);
  if ('swingMs' in pattern) return swinging({ urgentPerMs, durationMs, highMs: pattern.swingMs }, random);
  const batches = poisson(urgentPerMs / pattern.batch, all, random);
  return batches.flatMap((atMs) => Array.from({ length: pattern.batch }, () => atMs + random() * BATCH_MS));
}

/** Spells at a high and at a low rate, of random length. */
function swinging(
  { urgentPerMs, durationMs, highMs }: { urgentPerMs: number; durationMs: number; highMs: number },
  random: () => number,
): number[] {
  const arrivals: number[] = [];
  const lowMs = (highMs * (1 - HIGH_SHARE)) / HIGH_SHARE;
  let isHigh = random() < HIGH_SHARE;
  for (let fromMs = 0; fromMs < durationMs; isHigh = !isHigh) {
    const toMs = fromMs + gap(1 / (isHigh ? highMs : lowMs), random);
    const spell = { fromMs, toMs: Math.min(durationMs, toMs) };
    arrivals.push(...poisson(urgentPerMs * (isHigh ? HIGH : LOW), spell, random));
    fromMs = toMs;
  }
  return arrivals;
}

function poisson(perMs: number, { fromMs, toMs }: { fromMs: number; toMs: number }, random: () => number): number[] {
  const arrivals: number[] = [];
  if (perMs === 0) return arrivals;
  for (let atMs = fromMs + gap(perMs, random); atMs < toMs; atMs += gap(perMs, random)) arrivals.push(atMs);
  return arrivals;
}

function gap(perMs: number, random: () => number): number {
  return -Math.log(1 - random()) / perMs;
}
