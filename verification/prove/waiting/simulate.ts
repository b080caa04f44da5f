import type { LimitedPolicy } from '#quota';
import { ArrivalRate } from '../../../apps/gateway/src/waiting/arrival-rate.js';
import {
  dueThresholdsMs,
  patientShare,
  type PatientShare,
  rateMemories,
  type Situation,
} from '../../../apps/gateway/src/waiting/patient-share.js';
import type { Load } from './offline-optimum.js';
import { type Slots, slotsOf } from './slots.js';

export type Strategy = (situation: Situation) => PatientShare;

/** In milliseconds. */
export interface Delays {
  /** From sending until the answer. */
  answerMs: number;
  /** From a pod's look at the queue until what it takes from it is sent. */
  reactionMs: number;
}

export interface Paid {
  urgent: number;
  patient: number;
}

const LOOK_MS = 100;
// A constant of the module: globals are slow where a test runner has its own.
const NEVER = Number.POSITIVE_INFINITY;

/** For patient messages; urgent ones are always sent free when they can be, and paid for when not. */
export const STRATEGIES = {
  octo: patientShare,
  'at once': ({ slots }) => ({ take: slots, lookAgainMs: LOOK_MS }),
  'at the last': ({ waiting }) => ({ take: waiting.dueWithin[0] ?? 0, lookAgainMs: LOOK_MS }),
} satisfies Record<string, Strategy>;

/** The same load if nobody waited. */
export function impatient({ urgentAtMs, patients }: Load): Load {
  const everybody = [...urgentAtMs, ...patients.map(({ atMs }) => atMs)];
  return { urgentAtMs: everybody.toSorted((one, other) => one - other), patients: [] };
}

/** What is paid for if patient messages share this provider by that strategy. Arrivals come in order. */
export function simulate(load: Load, policy: LimitedPolicy, strategy: Strategy, delays: Delays): Paid {
  const run = new Run(load, policy, strategy, delays);
  while (run.step()) {
    // To the last arrival and the last deadline.
  }
  return run.paid;
}

class Run {
  readonly paid: Paid = { urgent: 0, patient: 0 };
  private nowMs = 0;
  private urgent = 0;
  private patient = 0;
  /** Deadlines of those that wait, nearest first. */
  private readonly waiting: number[] = [];
  private looksAtMs = 0;
  private decided: { atMs: number; take: number } | undefined;
  private readonly slots: Slots;
  private readonly rate: ArrivalRate;
  private readonly thresholdsMs: readonly number[];
  private readonly roundTripMs: number;

  constructor(
    private readonly load: Load,
    private readonly policy: LimitedPolicy,
    private readonly strategy: Strategy,
    private readonly delays: Delays,
  ) {
    this.slots = slotsOf(policy, delays.answerMs);
    this.rate = new ArrivalRate(rateMemories(policy), 0);
    this.roundTripMs = delays.answerMs + delays.reactionMs;
    this.thresholdsMs = dueThresholdsMs({ policy, roundTripMs: this.roundTripMs });
  }

  /** The next thing that happens; false if nothing does any more. */
  step(): boolean {
    const next = this.events().reduce((one, other) => (other.atMs < one.atMs ? other : one));
    if (next.atMs === NEVER) return false;
    this.nowMs = Math.max(this.nowMs, next.atMs);
    next.happens();
    return true;
  }

  private events(): { atMs: number; happens: () => void }[] {
    const idle = this.waiting.length === 0 || this.decided !== undefined;
    return [
      { atMs: this.decided?.atMs ?? NEVER, happens: () => this.act() },
      { atMs: this.load.urgentAtMs[this.urgent] ?? NEVER, happens: () => this.urgentComes() },
      { atMs: this.load.patients[this.patient]?.atMs ?? NEVER, happens: () => this.patientComes() },
      { atMs: this.waiting[0] ?? NEVER, happens: () => this.expire() },
      { atMs: idle ? NEVER : this.looksAtMs, happens: () => this.look() },
    ];
  }

  private urgentComes(): void {
    this.urgent += 1;
    this.rate.note(this.nowMs);
    if (this.slots.open(this.nowMs) > 0) this.slots.take(this.nowMs);
    else this.paid.urgent += 1;
  }

  private patientComes(): void {
    const sendByMs = this.load.patients[this.patient]?.sendByMs ?? NEVER;
    this.patient += 1;
    this.waiting.splice(this.countDue(sendByMs), 0, sendByMs);
  }

  private expire(): void {
    this.waiting.shift();
    this.paid.patient += 1;
  }

  private look(): void {
    const slots = this.slots.open(this.nowMs);
    if (slots === 0) {
      // At least a little later, should rounding put the opening at this moment.
      this.looksAtMs = Math.max(this.nowMs + 0.01, this.slots.opensAtMs(this.nowMs));
      return;
    }
    const { take, lookAgainMs } = this.strategy(this.situation(slots));
    this.looksAtMs = this.nowMs + lookAgainMs;
    if (take > 0) this.decided = { atMs: this.nowMs + this.delays.reactionMs, take };
  }

  private situation(slots: number): Situation {
    const windowEndsInMs = this.slots.endsInMs?.(this.nowMs);
    return {
      policy: this.policy,
      slots,
      ...(windowEndsInMs === undefined ? {} : { windowEndsInMs }),
      urgentPerSecond: this.rate.perSecond(this.nowMs),
      waiting: {
        total: this.waiting.length,
        dueWithin: this.thresholdsMs.map((ms) => this.countDue(this.nowMs + ms)),
      },
      roundTripMs: this.roundTripMs,
    };
  }

  private act(): void {
    const take = Math.min(this.decided?.take ?? 0, this.waiting.length);
    this.decided = undefined;
    let sent = 0;
    // A window that blocks and opens again is another one: one by one, as long as this one is open.
    while (sent < take && this.slots.open(this.nowMs) > 0) {
      this.slots.take(this.nowMs);
      sent += 1;
    }
    this.waiting.splice(0, sent);
  }

  private countDue(byMs: number): number {
    let low = 0;
    let high = this.waiting.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.waiting[middle] ?? NEVER) <= byMs) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
