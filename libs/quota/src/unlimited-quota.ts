import type { QuotaState, Reservation } from './permit.js';

/** A provider that accepts everything: nothing to count, nobody to ask. */
export class UnlimitedQuota {
  readonly trips = 0;
  readonly blockedForMs = 0;

  constructor(private readonly provider: string) {}

  reserve(): Promise<Reservation> {
    const permit = { provider: this.provider, epoch: 0, generation: 0, sendByMs: Infinity, grantedAtMs: -1 };
    return Promise.resolve({ granted: true, permit });
  }

  settle(): void {}

  state(): Promise<QuotaState> {
    return Promise.resolve({ state: 'open', epoch: 0, limit: Infinity, used: 0, waitMs: 0 });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
