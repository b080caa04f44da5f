import { type Announcement, waitMsOf } from '../announcements/announcement.js';
import type { Permit, Settlement } from '../permit.js';

type PermitOrigin = Pick<Permit, 'epoch' | 'generation' | 'grantedAtMs' | 'amount'>;

interface Settled {
  permit: PermitOrigin;
  settlement: Settlement;
  /** What an accepted request used of a quota that counts amounts; default: the permit's amount. */
  used?: number | undefined;
  /** On the monotonic clock. */
  nowMs: number;
}

interface Counts extends Record<Settlement['outcome'], number> {
  epoch: number;
  generation: number;
  /** What accepted requests used beyond their permits. */
  charged: number;
  /** When the latest answer arrived, on the monotonic clock. */
  answeredAtMs: number;
  retryAfterMs: number;
  holdMs: number;
  /** Of all answers, the announcement with the fewest requests remaining. */
  announced: { remaining: number; grantedAtMs: number; resetMs: number; limit: number };
}

const NOTHING_ANNOUNCED = { remaining: -1, grantedAtMs: -1, resetMs: -1, limit: -1 };

/**
 * Settlements since the last step, added up: a batch costs the same however many permits settled. A group holds the
 * settlements of one epoch and generation that arrived within `resolutionMs`, the precision with which the policy needs to
 * know when answers arrived. Accepted requests whose answer did not announce what remains form groups of their own.
 */
export class SettlementBatch {
  private readonly groups = new Map<string, Counts>();

  constructor(private readonly resolutionMs = Infinity) {}

  get isEmpty(): boolean {
    return this.groups.size === 0;
  }

  add({ permit, settlement, used, nowMs }: Settled): void {
    const announced = 'announced' in settlement ? settlement.announced : undefined;
    const isUnannounced = settlement.outcome === 'accepted' && announced?.remaining === undefined;
    const counts = this.groupOf(permit, { nowMs, isUnannounced });
    const { amount } = permit;
    if (settlement.outcome === 'accepted' && used !== undefined) addUse(counts, amount, used);
    else counts[settlement.outcome] += amount;
    if (settlement.outcome !== 'notSent') counts.answeredAtMs = nowMs;
    if (announced === undefined) return;
    if (settlement.outcome === 'refused')
      counts.retryAfterMs = Math.max(counts.retryAfterMs, waitMsOf(announced) ?? -1);
    // A wait of a refusal holds the account back as well.
    else counts.holdMs = Math.max(counts.holdMs, announced.holdMs ?? -1);
    addAnnouncement(counts, announced, permit.grantedAtMs);
  }

  /** In the order of step.lua. Ages instead of times, because pods and Redis share no clock. */
  toArguments(nowMs: number): number[] {
    return [...this.groups.values()].flatMap(({ announced, ...counts }) => [
      counts.epoch,
      counts.generation,
      counts.accepted,
      counts.notSent,
      counts.unknown,
      counts.refused,
      // Rounded down: an answer must not look older than it is, or the block would end early.
      Math.max(0, Math.floor(nowMs - counts.answeredAtMs)),
      toWholeMs(counts.retryAfterMs),
      announced.remaining,
      announced.grantedAtMs,
      toWholeMs(announced.resetMs),
      announced.limit,
      toWholeMs(counts.holdMs),
      counts.charged,
    ]);
  }

  private groupOf({ epoch, generation }: PermitOrigin, of: { nowMs: number; isUnannounced: boolean }): Counts {
    const slice = this.resolutionMs === Infinity ? 0 : Math.floor(of.nowMs / this.resolutionMs);
    const key = `${epoch}:${generation}:${of.isUnannounced}:${slice}`;
    const found = this.groups.get(key);
    if (found !== undefined) return found;
    const outcomes = { accepted: 0, notSent: 0, unknown: 0, refused: 0 };
    const counts = {
      epoch,
      generation,
      ...outcomes,
      charged: 0,
      answeredAtMs: 0,
      retryAfterMs: -1,
      holdMs: -1,
      announced: NOTHING_ANNOUNCED,
    };
    this.groups.set(key, counts);
    return counts;
  }
}

/** What was reserved and not used is given back; what was used beyond it is charged. */
function addUse(counts: Counts, reserved: number, used: number): void {
  const whole = Math.max(0, Math.ceil(used));
  counts.accepted += Math.min(reserved, whole);
  counts.notSent += Math.max(0, reserved - whole);
  counts.charged += Math.max(0, whole - reserved);
}

function addAnnouncement(counts: Counts, announced: Announcement, grantedAtMs: number): void {
  const { remaining = -1, resetMs = -1, limit = -1 } = announced;
  if (remaining < 0) return;
  if (counts.announced.remaining >= 0 && counts.announced.remaining <= remaining) return;
  counts.announced = { remaining, grantedAtMs, resetMs, limit };
}

/** -1 stands for a duration that was not announced. */
function toWholeMs(ms: number): number {
  return ms < 0 ? -1 : Math.ceil(ms);
}
