import { seededRandom } from '../seeded-random.js';

export interface Extent {
  messages: number;
  perSecond: number;
  pods: number;
  kills: number;
  /** Every message must be over this long after the last call. */
  settleMs: number;
}

export const FULL: Extent = { messages: 10_000, perSecond: 80, pods: 4, kills: 24, settleMs: 90_000 };
export const QUICK: Extent = { messages: 600, perSecond: 60, pods: 2, kills: 4, settleMs: 30_000 };

/** A kind of message and its share: `weight` of the sum of all weights. */
interface Kind {
  weight: number;
  hasKey?: true;
  isAsync?: true;
  /** From the moment it is sent. */
  deliverInMs?: { least: number; most: number };
  isNeverPaid?: true;
}

const SOON = { least: 2_500, most: 8_000 };

const KINDS: readonly Kind[] = [
  { weight: 5 },
  { weight: 5, hasKey: true },
  { weight: 3, isAsync: true },
  { weight: 2, isAsync: true, hasKey: true },
  { weight: 2, deliverInMs: SOON },
  { weight: 2, deliverInMs: SOON, hasKey: true },
  { weight: 2, isNeverPaid: true },
  { weight: 2, isNeverPaid: true, deliverInMs: SOON },
];

export interface PlannedMessage {
  /** From the start of the load. */
  atMs: number;
  /** Unique: finds the message in every log. */
  text: string;
  key: string | undefined;
  isAsync: boolean;
  deliverInMs: number | undefined;
  isNeverPaid: boolean;
  /** The client calls once more after its answer. */
  isRepeated: boolean;
}

export interface PlannedFault {
  atMs: number;
  target: 'pod' | 'redis' | 'postgres';
  /** A number in [0, 1) that chooses among the running pods. */
  draw: number;
}

export interface Plan {
  messages: PlannedMessage[];
  faults: PlannedFault[];
}

/** The same for the same seed. */
export function planOf({ messages, perSecond, kills }: Extent, seed: number): Plan {
  const random = seededRandom(seed);
  const durationMs = (messages / perSecond) * 1_000;
  return {
    messages: Array.from({ length: messages }, (_, index) => planMessage(index, { perSecond, seed, random })),
    faults: planFaults(durationMs, kills, random),
  };
}

function planMessage(
  index: number,
  { perSecond, seed, random }: { perSecond: number; seed: number; random: () => number },
): PlannedMessage {
  const lots = KINDS.flatMap((kind) => Array<Kind>(kind.weight).fill(kind));
  const { hasKey, isAsync, deliverInMs, isNeverPaid } = lots[Math.floor(random() * lots.length)] ?? { weight: 0 };
  const text = `crash ${seed} message ${index + 1}`;
  return {
    atMs: (index + random()) * (1_000 / perSecond),
    text,
    key: hasKey && text.replaceAll(' ', '-'),
    isAsync: isAsync === true,
    deliverInMs: deliverInMs && Math.round(deliverInMs.least + random() * (deliverInMs.most - deliverInMs.least)),
    isNeverPaid: isNeverPaid === true,
    isRepeated: hasKey === true && random() < 0.25,
  };
}

/** Kills through most of the load, each engine once, and no fault in the first and the last moments. */
function planFaults(durationMs: number, kills: number, random: () => number): PlannedFault[] {
  const within = (from: number, to: number): number => durationMs * (from + (to - from) * random());
  const ofPods = Array.from({ length: kills }, (_, index): PlannedFault => {
    const share = 0.8 / kills;
    return { atMs: within(0.1 + index * share, 0.1 + (index + 1) * share), target: 'pod', draw: random() };
  });
  const ofEngines = [
    { atMs: within(0.2, 0.45), target: 'redis', draw: 0 },
    { atMs: within(0.55, 0.8), target: 'postgres', draw: 0 },
  ] as const;
  return [...ofPods, ...ofEngines].toSorted((one, other) => one.atMs - other.atMs);
}
