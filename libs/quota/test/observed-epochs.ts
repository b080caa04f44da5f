import type { Permit, Settlement } from '../src/permit.js';
import { BrokenPromise } from './broken-promise.js';

/** How long a busy machine may keep us from looking at what the engine did. */
export const STALL_MS = 250;

/** What the provider saw of one epoch. */
interface Epoch {
  granted: number;
  givenBack: number;
  accepted: number;
  unknown: number;
  refused: number;
  lastAnswerMs: number;
}

/** What pods were granted and what became of it, held against what a provider of this limit and block promises. */
export class SeenEpochs {
  private readonly epochs = new Map<number, Epoch>();
  private readonly permits = new Set<Permit>();
  private broken: BrokenPromise | undefined;

  constructor(private readonly provider: { limit: number; blockMs: number }) {}

  of(number: number): Epoch {
    const found = this.epochs.get(number);
    if (found !== undefined) return found;
    const epoch = { granted: 0, givenBack: 0, accepted: 0, unknown: 0, refused: 0, lastAnswerMs: -Infinity };
    this.epochs.set(number, epoch);
    return epoch;
  }

  get lastAnswerMs(): number {
    return Math.max(...[...this.epochs.values()].map(({ lastAnswerMs }) => lastAnswerMs));
  }

  /** To a pod that saw the provider refuse in `refusedEpoch`. */
  noteGranted(permit: Permit, refusedEpoch: number): void {
    const nowMs = performance.now();
    const epoch = this.of(permit.epoch);
    epoch.granted += 1;
    this.expect(!this.permits.has(permit), 'a permit is handed out once');
    this.permits.add(permit);
    this.expect(nowMs < permit.sendByMs + STALL_MS, 'no permit is handed out that has run out');
    this.expect(permit.epoch > refusedEpoch, 'nothing is granted of a window that was seen to be closed');
    this.expect(epoch.granted - epoch.givenBack <= this.provider.limit, 'an epoch grants no more than the limit');
    for (const [number, { lastAnswerMs }] of this.epochs) {
      if (number >= permit.epoch) continue;
      this.expect(nowMs >= lastAnswerMs + this.provider.blockMs, 'nothing is granted while the provider is blocked');
    }
  }

  noteSettled(permit: Permit, { outcome }: Settlement): void {
    const epoch = this.of(permit.epoch);
    if (outcome === 'notSent') epoch.givenBack += 1;
    else {
      epoch[outcome] += 1;
      epoch.lastAnswerMs = performance.now();
    }
  }

  /** What was seen where nobody listened. */
  throwIfBroken(): void {
    if (this.broken !== undefined) throw this.broken;
  }

  private expect(kept: boolean, what: string): void {
    if (!kept) this.broken ??= new BrokenPromise(what);
  }
}
