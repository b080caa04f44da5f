import type { Permit, Settlement } from '../src/permit.js';
import { InvariantViolation } from './invariant.js';

/** How long a busy machine may delay this process between two looks at the engine. */
export const STALL_MS = 250;

/** What the test saw of one epoch. */
interface Epoch {
  granted: number;
  returned: number;
  accepted: number;
  unknown: number;
  refused: number;
  lastAnswerMs: number;
}

/** The permits that pods handed out and their settlements, checked against a provider of this limit and block. */
export class ObservedEpochs {
  private readonly epochs = new Map<number, Epoch>();
  private readonly permits = new Set<Permit>();
  private violation: InvariantViolation | undefined;

  constructor(private readonly provider: { limit: number; blockMs: number }) {}

  of(number: number): Epoch {
    const found = this.epochs.get(number);
    if (found !== undefined) return found;
    const epoch = { granted: 0, returned: 0, accepted: 0, unknown: 0, refused: 0, lastAnswerMs: -Infinity };
    this.epochs.set(number, epoch);
    return epoch;
  }

  get lastAnswerMs(): number {
    return Math.max(...[...this.epochs.values()].map(({ lastAnswerMs }) => lastAnswerMs));
  }

  /** @param refusedEpoch the last epoch in which the provider refused a request of this pod */
  noteGranted(permit: Permit, refusedEpoch: number): void {
    const nowMs = performance.now();
    const epoch = this.of(permit.epoch);
    epoch.granted += 1;
    this.check(!this.permits.has(permit), 'a permit is handed out once');
    this.permits.add(permit);
    this.check(nowMs < permit.sendByMs + STALL_MS, 'no expired permit is handed out');
    this.check(permit.epoch > refusedEpoch, 'a pod hands out no permit of a window that refused it');
    this.check(epoch.granted - epoch.returned <= this.provider.limit, 'an epoch grants no more than the limit');
    for (const [number, { lastAnswerMs }] of this.epochs) {
      if (number >= permit.epoch) continue;
      this.check(nowMs >= lastAnswerMs + this.provider.blockMs, 'nothing is granted while the provider is blocked');
    }
  }

  noteSettled(permit: Permit, { outcome }: Settlement): void {
    const epoch = this.of(permit.epoch);
    if (outcome === 'notSent') epoch.returned += 1;
    else {
      epoch[outcome] += 1;
      epoch.lastAnswerMs = performance.now();
    }
  }

  /** Throws a violation seen in a reservation that no test code awaited. */
  throwIfViolated(): void {
    if (this.violation !== undefined) throw this.violation;
  }

  private check(holds: boolean, what: string): void {
    if (!holds) this.violation ??= new InvariantViolation(what);
  }
}
