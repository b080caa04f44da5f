import type { Announcement } from '../announcements/announcement.js';
import type { Permit, Settlement } from '../permit.js';

type PermitOrigin = Pick<Permit, 'epoch' | 'generation' | 'grantedAtMs'>;

interface Counts extends Record<Settlement['outcome'], number> {
  epoch: number;
  generation: number;
  /** When the latest answer came, on the monotonic clock. */
  answeredAtMs: number;
  stayAwayMs: number;
  /** Of all answers, the one that saw the least left. */
  told: { remaining: number; grantedAtMs: number; resetMs: number; limit: number };
}

const UNTOLD = { remaining: -1, grantedAtMs: -1, resetMs: -1, limit: -1 };

/**
 * What became of permits since the last step, added up: a batch costs the same however many settled.
 * Added up are those of one epoch and generation that settled within `resolutionMs`, how exactly the policy has to know
 * when answers came; those accepted without a word of what remains apart from the others.
 */
export class SettlementBatch {
  private readonly groups = new Map<string, Counts>();

  constructor(private readonly resolutionMs = Infinity) {}

  get isEmpty(): boolean {
    return this.groups.size === 0;
  }

  add({ permit, settlement, nowMs }: { permit: PermitOrigin; settlement: Settlement; nowMs: number }): void {
    const announced = 'announced' in settlement ? settlement.announced : undefined;
    const isUntold = settlement.outcome === 'accepted' && announced?.remaining === undefined;
    const counts = this.groupOf(permit, { nowMs, isUntold });
    counts[settlement.outcome] += 1;
    if (settlement.outcome !== 'notSent') counts.answeredAtMs = nowMs;
    if (announced !== undefined) hear(counts, announced, permit.grantedAtMs);
  }

  /** In the order of step.lua. Ages, not instants: pods and Redis share no clock. */
  toArguments(nowMs: number): number[] {
    return [...this.groups.values()].flatMap(({ told, ...counts }) => [
      counts.epoch,
      counts.generation,
      counts.accepted,
      counts.notSent,
      counts.unknown,
      counts.refused,
      // Rounded down, so that an answer never looks older than it is and the block never ends early.
      Math.max(0, Math.floor(nowMs - counts.answeredAtMs)),
      said(counts.stayAwayMs),
      told.remaining,
      told.grantedAtMs,
      said(told.resetMs),
      told.limit,
    ]);
  }

  private groupOf({ epoch, generation }: PermitOrigin, of: { nowMs: number; isUntold: boolean }): Counts {
    const slice = this.resolutionMs === Infinity ? 0 : Math.floor(of.nowMs / this.resolutionMs);
    const key = `${epoch}:${generation}:${of.isUntold}:${slice}`;
    const found = this.groups.get(key);
    if (found !== undefined) return found;
    const none = { accepted: 0, notSent: 0, unknown: 0, refused: 0, answeredAtMs: 0, stayAwayMs: -1, told: UNTOLD };
    const counts = { epoch, generation, ...none };
    this.groups.set(key, counts);
    return counts;
  }
}

function hear(counts: Counts, announced: Announcement, grantedAtMs: number): void {
  const { retryAfterMs, remaining = -1, resetMs = -1, limit = -1 } = announced;
  counts.stayAwayMs = Math.max(counts.stayAwayMs, retryAfterMs ?? -1);
  if (remaining < 0) return;
  if (counts.told.remaining >= 0 && counts.told.remaining <= remaining) return;
  counts.told = { remaining, grantedAtMs, resetMs, limit };
}

function said(ms: number): number {
  return ms < 0 ? -1 : Math.ceil(ms);
}
