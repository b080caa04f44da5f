import { generator } from '../arrivals.js';

export interface Extent {
  messages: number;
  perSecond: number;
  pods: number;
  kills: number;
  /** How long after the last call everything may take to be over. */
  settleMs: number;
}

export const FULL: Extent = { messages: 10_000, perSecond: 80, pods: 4, kills: 24, settleMs: 90_000 };
export const QUICK: Extent = { messages: 600, perSecond: 60, pods: 2, kills: 4, settleMs: 30_000 };

/** What is asked for, and how often: `weight` of the sum of all. Deadlines in milliseconds from when it is sent. */
interface Kind {
  weight: number;
  hasKey?: true;
  isAsync?: true;
  deliverInMs?: { least: number; most: number };
  isNeverPaid?: true;
}

const SOON = { least: 2_500, most: 8_000 };

export const KINDS = {
  plain: { weight: 5 },
  'with key': { weight: 5, hasKey: true },
  async: { weight: 3, isAsync: true },
  'async, with key': { weight: 2, isAsync: true, hasKey: true },
  'may wait': { weight: 2, deliverInMs: SOON },
  'may wait, with key': { weight: 2, deliverInMs: SOON, hasKey: true },
  'never paid': { weight: 2, isNeverPaid: true },
  'never paid, may wait': { weight: 2, isNeverPaid: true, deliverInMs: SOON },
} as const satisfies Record<string, Kind>;
export type KindName = keyof typeof KINDS;

export interface PlannedMessage {
  kind: KindName;
  /** From the start of the load. */
  atMs: number;
  /** Names the message wherever it is met: no two are alike. */
  text: string;
  key: string | undefined;
  isAsync: boolean;
  deliverInMs: number | undefined;
  isNeverPaid: boolean;
  /** Its sender asks once more, having been answered. */
  isRepeated: boolean;
}

export interface Strike {
  atMs: number;
  at: 'pod' | 'redis' | 'postgres';
  /** Of a pod: a number from 0 up to 1 that chooses among those that are up. */
  draw: number;
}

export interface Plan {
  messages: PlannedMessage[];
  strikes: Strike[];
}

/** The same for the same seed. */
export function planOf({ messages, perSecond, kills }: Extent, seed: number): Plan {
  const random = generator(seed);
  const durationMs = (messages / perSecond) * 1_000;
  return {
    messages: Array.from({ length: messages }, (_, index) => planMessage(index, { perSecond, seed, random })),
    strikes: planStrikes(durationMs, kills, random),
  };
}

function planMessage(
  index: number,
  { perSecond, seed, random }: { perSecond: number; seed: number; random: () => number },
): PlannedMessage {
  const kind = chooseKind(random());
  const { hasKey, isAsync, deliverInMs, isNeverPaid }: Kind = KINDS[kind];
  const text = `crash ${seed} message ${index + 1}`;
  return {
    kind,
    atMs: (index + random()) * (1_000 / perSecond),
    text,
    key: hasKey && text.replaceAll(' ', '-'),
    isAsync: isAsync === true,
    deliverInMs: deliverInMs && Math.round(deliverInMs.least + random() * (deliverInMs.most - deliverInMs.least)),
    isNeverPaid: isNeverPaid === true,
    isRepeated: hasKey === true && random() < 0.25,
  };
}

function chooseKind(draw: number): KindName {
  const names = Object.keys(KINDS) as KindName[];
  let left = draw * names.reduce((sum, name) => sum + KINDS[name].weight, 0);
  for (const name of names) {
    left -= KINDS[name].weight;
    if (left < 0) return name;
  }
  return 'plain';
}

/** Kills all through the load, each engine once, and nothing in the first and the last moments. */
function planStrikes(durationMs: number, kills: number, random: () => number): Strike[] {
  const within = (from: number, to: number): number => durationMs * (from + (to - from) * random());
  const ofPods = Array.from({ length: kills }, (_, index): Strike => {
    const share = 0.8 / kills;
    return { atMs: within(0.1 + index * share, 0.1 + (index + 1) * share), at: 'pod', draw: random() };
  });
  const ofEngines = [
    { atMs: within(0.2, 0.45), at: 'redis', draw: 0 },
    { atMs: within(0.55, 0.8), at: 'postgres', draw: 0 },
  ] as const;
  return [...ofPods, ...ofEngines].toSorted((one, other) => one.atMs - other.atMs);
}
