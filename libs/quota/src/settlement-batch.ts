import type { Permit, Settlement } from './permit.js';

type PermitOrigin = Pick<Permit, 'epoch' | 'generation'>;

interface Counts {
  epoch: number;
  generation: number;
  accepted: number;
  notSent: number;
  unknown: number;
  refused: number;
  /** When the latest answer came, on the monotonic clock. */
  answeredAtMs: number;
  stayAwayMs: number;
}

/** What became of permits since the last step, added up by epoch and generation: a batch costs the same however many settled. */
export class SettlementBatch {
  private readonly groups = new Map<string, Counts>();

  get isEmpty(): boolean {
    return this.groups.size === 0;
  }

  add({ permit, settlement, nowMs }: { permit: PermitOrigin; settlement: Settlement; nowMs: number }): void {
    const counts = this.groupOf(permit);
    counts[settlement.outcome] += 1;
    if (settlement.outcome !== 'notSent') counts.answeredAtMs = nowMs;
    if (settlement.outcome === 'refused')
      counts.stayAwayMs = Math.max(counts.stayAwayMs, settlement.retryAfterMs ?? -1);
  }

  /** In the order of step.lua. Ages, not instants: pods and Redis share no clock. */
  toArguments(nowMs: number): number[] {
    return [...this.groups.values()].flatMap((counts) => [
      counts.epoch,
      counts.generation,
      counts.accepted,
      counts.notSent,
      counts.unknown,
      counts.refused,
      // Rounded down, so that an answer never looks older than it is and the block never ends early.
      Math.max(0, Math.floor(nowMs - counts.answeredAtMs)),
      counts.stayAwayMs < 0 ? -1 : Math.ceil(counts.stayAwayMs),
    ]);
  }

  private groupOf({ epoch, generation }: PermitOrigin): Counts {
    const key = `${epoch}:${generation}`;
    const found = this.groups.get(key);
    if (found !== undefined) return found;
    const none = { accepted: 0, notSent: 0, unknown: 0, refused: 0, answeredAtMs: 0, stayAwayMs: -1 };
    const counts = { epoch, generation, ...none };
    this.groups.set(key, counts);
    return counts;
  }
}
