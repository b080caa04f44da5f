import { KnownQuota } from '../src/pod/known-quota.js';
import { NumberedSteps } from '../src/pod/numbered-steps.js';
import { OutgoingSettlements } from '../src/pod/outgoing-settlements.js';
import { PermitsInHand } from '../src/pod/permits-in-hand.js';
import { ProviderQuota } from '../src/pod/provider-quota.js';
import { SettlementBatch } from '../src/store/settlement-batch.js';
import type { ScenarioName } from './pod-scenarios.js';

interface Mutant {
  /** The scenario that catches it, and the invariant that it violates there. */
  scenario: ScenarioName;
  violates: string;
  /** Breaks one part of the pod, until `repair()`. */
  breakIt: () => void;
}

type Method<T, K extends keyof T> = Extract<T[K], (...args: never[]) => unknown>;
const repairs: (() => void)[] = [];

export function repair(): void {
  for (const undo of repairs.splice(0)) undo();
}

/** Replaces a method of a class, until `repair()`. `intact` is the method as it was, bound to `instance`. */
export function replace<T extends object, K extends keyof T>(
  { prototype }: { prototype: T },
  name: K,
  faulty: (instance: T, intact: Method<T, K>, ...args: Parameters<Method<T, K>>) => ReturnType<Method<T, K>>,
): void {
  const original = prototype[name] as Method<T, K>;
  const replacement = function (this: T, ...args: Parameters<Method<T, K>>) {
    return faulty(this, original.bind(this) as Method<T, K>, ...args);
  };
  prototype[name] = replacement as T[K];
  repairs.push(() => (prototype[name] = original));
}

const NO_SLOT_LOST = 'no slot is lost: each used one was accepted, refused or is unknown';
const flushLate = (): void =>
  replace(OutgoingSettlements, 'startTimer', (_, intact, delayMs) => intact(Math.max(delayMs, 60_000)));

/** Faults of a pod, by the number of the invariant in docs/quota.md that they violate. */
export const MUTANTS = {
  '1, 5: counts every settlement of a permit': {
    scenario: 'counts a permit once, however often it is settled',
    violates: 'an epoch grants no more than the limit',
    breakIt: () => replace(PermitsInHand, 'remove', () => true),
  },
  '3: hands one permit to two callers': {
    scenario: 'hands a late permit to one later caller',
    violates: 'a permit is handed out once',
    breakIt: () =>
      replace(PermitsInHand, 'takeSpare', (inHand, intact) => {
        const permit = intact();
        if (permit !== undefined) inHand.keepSpare(permit);
        return permit;
      }),
  },
  '3: dates a permit later than its step': {
    scenario: 'dates a permit from the first attempt of its step',
    violates: 'a permit lasts from the first attempt',
    breakIt: () =>
      replace(NumberedSteps, 'compose', (_, intact, step) =>
        intact({ ...step, startedAtMs: step.startedAtMs + 60_000 }),
      ),
  },
  '4: hands out permits of a window that has refused': {
    scenario: 'hands out no permit that was in flight when the provider refused',
    violates: 'a pod hands out no permit of a window that refused it',
    breakIt: () => replace(KnownQuota, 'hasRefusedSince', () => false),
  },
  '5: makes a new step instead of retrying the unconfirmed one': {
    scenario: 'retries a step whose reply was lost, and returns its permits',
    violates: NO_SLOT_LOST,
    breakIt: () => replace(NumberedSteps, 'dropStale', (steps) => (steps.unconfirmed = undefined)),
  },
  '5: retries the unconfirmed step under a new number': {
    scenario: 'reports settlements once although the reply was lost',
    violates: 'an epoch grants no more than the limit',
    breakIt: () =>
      replace(NumberedSteps, 'send', (steps, intact, step) =>
        intact(step === steps.unconfirmed ? steps.compose(step) : step),
      ),
  },
  "7: takes an answer's time for its age": {
    scenario: 'counts a block from the last answer, however late it is reported',
    violates: 'a block is counted from the last answer',
    breakIt: () => replace(SettlementBatch, 'toArguments', (_, intact, nowMs) => intact(60_000 + nowMs)),
  },
  '7: reads the wall clock': {
    scenario: 'makes no trip while blocked, whatever the wall clock shows',
    violates: 'a pod that knows of a block makes no trip',
    breakIt: () => replace(KnownQuota, 'blockedForMs', (_, intact) => intact(Date.now())),
  },
  '9: keeps spare permits': {
    scenario: 'returns a permit that came too late for its caller',
    violates: NO_SLOT_LOST,
    breakIt: () => replace(PermitsInHand, 'dropSparesDueBy', () => []),
  },
  '9: reports returned slots late': {
    scenario: 'returns a slot at once',
    violates: NO_SLOT_LOST,
    breakIt: flushLate,
  },
  '9: reports the last answer of a window late': {
    scenario: 'knows a block, however late the reply was',
    violates: 'a spent window closes with its last answer',
    breakIt: flushLate,
  },
  '9: counts a block from the reply, not from the step': {
    scenario: 'knows a block, however late the reply was',
    violates: 'a pod knows a block no longer than it lasts',
    breakIt: () => replace(KnownQuota, 'note', (_, intact, reply) => intact(reply, performance.now())),
  },
  '9: closes without delivering settlements': {
    scenario: 'delivers settlements when it closes',
    violates: 'closing delivers the last settlements',
    // Only the first call: the model closes the pod again to stop its timers.
    breakIt: () => replace(ProviderQuota, 'close', () => Promise.resolve(repair())),
  },
  '11: makes trips although it knows of a block': {
    scenario: 'makes no trip while blocked, whatever the wall clock shows',
    violates: 'a pod that knows of a block makes no trip',
    breakIt: () => replace(KnownQuota, 'blockedForMs', () => 0),
  },
  '11: makes a trip for every settlement': {
    scenario: 'makes one trip per message, not two',
    violates: 'settlements travel with the next step',
    breakIt: () => replace(OutgoingSettlements, 'startTimer', (_, intact) => intact(0)),
  },
} as const satisfies Record<string, Mutant>;

export type MutantName = keyof typeof MUTANTS;
