import { waitMsOf } from '../announcements/announcement.js';
import { Credibility } from '../announcements/credibility.js';
import type { Permit, QuotaEvent, Settlement } from '../permit.js';
import type { LimitedPolicy } from '../policy.js';
import type { KnownQuota } from './known-quota.js';
import { OutgoingSettlements } from './outgoing-settlements.js';
import { PermitsInHand } from './permits-in-hand.js';

/** How long a spare permit waits for the next caller before the pod gives it back. */
const SPARE_MS = 50;

interface LedgerOptions {
  provider: string;
  policy: LimitedPolicy;
  /** Timeout of a request to the provider; after it the permit is settled as unknown. */
  timeoutMs: number;
  /** How long a permit may be held before it is used. */
  permitMs: number;
  /** Redis counts an unsettled permit as unknown this long after granting it. */
  holdMs: number;
  onEvent: (event: QuotaEvent) => void;
}

/** This pod's permits from grant to settlement, and the settlements until a step takes them to Redis. */
export class PermitLedger {
  /** After closing no caller takes permits: all spares are given back at once. */
  isClosed = false;
  readonly inHand = new PermitsInHand();
  readonly outgoing: OutgoingSettlements;

  private readonly credibility: Credibility;
  /** The last settlement closes the window under count-then-block only; under other policies time frees the slots. */
  private readonly closesWhenSettled: boolean;

  constructor(
    private readonly options: LedgerOptions,
    private readonly known: KnownQuota,
    /** Called when settlements need a step of their own. */
    private readonly onFlush: () => void,
  ) {
    const { policy, provider, holdMs, onEvent } = options;
    this.closesWhenSettled = policy.policy === 'count-then-block';
    this.credibility = new Credibility(policy, () => onEvent({ event: 'announcements ignored', provider }));
    this.outgoing = new OutgoingSettlements(policy, holdMs, () => {
      this.giveBackSpares(performance.now() + options.permitMs - SPARE_MS);
      this.onFlush();
    });
  }

  /** A spare permit that can still be sent. */
  takeSpare(nowMs: number): Permit | undefined {
    if (!this.inHand.hasSpares) return undefined;
    this.giveBackSpares(nowMs);
    return this.inHand.takeSpare();
  }

  /** Gives back the spare permits that must be sent by `atMs`. */
  giveBackSpares(atMs: number): void {
    for (const permit of this.inHand.dropSparesDueBy(atMs)) this.settle(permit, { outcome: 'notSent' });
  }

  /** Gives back the spare permits soon, unless callers take them. */
  giveBackSparesSoon(): void {
    if (this.inHand.hasSpares) this.flushWithin(SPARE_MS);
  }

  /**
   * A second settlement of the same permit changes nothing.
   * @param used what an accepted request used, if not the permit's amount
   */
  settle(permit: Permit, settlement: Settlement, used?: number): void {
    if (!this.inHand.remove(permit)) return;
    const nowMs = performance.now();
    this.outgoing.add({ permit, settlement: this.withCredibleAnnouncement(permit, settlement), used, nowMs });
    if (settlement.outcome === 'refused') this.noteRefusal(permit, waitMsOf(settlement.announced));
    // Another pod may want a slot given back, or spend what this request used; the last settlement of a spent window closes it.
    const isImmediate = mattersToOtherPods(settlement) || (used ?? 0) > permit.amount;
    const closesWindow = this.known.isSpent && this.inHand.areAllSettled && this.closesWhenSettled;
    // No later than when the permit would time out as unknown.
    const untilTimeoutMs = permit.sendByMs + this.options.timeoutMs - nowMs;
    const givesBackMs = used !== undefined && used < permit.amount ? SPARE_MS : Infinity;
    const patienceMs = Math.max(0, Math.min(this.outgoing.maxWaitMs, untilTimeoutMs, givesBackMs));
    this.flushWithin(isImmediate || closesWindow ? 0 : patienceMs);
  }

  /** Sends settlements within that time, unless a caller's step takes them earlier. */
  flushWithin(delayMs: number): void {
    if (!this.isClosed) {
      this.outgoing.startTimer(delayMs);
      return;
    }
    // A retried step may have been granted permits after the pod was closed.
    this.giveBackSpares(Infinity);
    this.onFlush();
  }

  private withCredibleAnnouncement({ epoch }: Permit, settlement: Settlement): Settlement {
    if (!('announced' in settlement)) return settlement;
    const { outcome } = settlement;
    return { outcome, announced: this.credibility.believe({ outcome, announced: settlement.announced, epoch }) };
  }

  private noteRefusal(permit: Permit, retryAfterMs: number | undefined): void {
    // The provider is closed: neither spare permits nor those of a step in flight may be sent.
    if (permit.epoch === this.known.epoch) {
      this.known.noteRefusal(performance.now());
      this.giveBackSpares(Infinity);
    }
    const { policy, provider, onEvent } = this.options;
    // Where the first refusal starts the block, one refusal per window is expected.
    if (policy.policy === 'count-then-block' && policy.startsAt === 'first-refusal') return;
    onEvent({ event: 'refused', provider, epoch: permit.epoch, retryAfterMs });
  }
}

/** It gives a slot back, or closes the account. */
function mattersToOtherPods(settlement: Settlement): boolean {
  if (settlement.outcome !== 'accepted') return settlement.outcome !== 'unknown';
  return settlement.announced?.holdMs !== undefined;
}
