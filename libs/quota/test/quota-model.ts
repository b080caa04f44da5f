import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Announcement } from '../src/announcements/announcement.js';
import { quotaKey } from '../src/store/keys.js';
import type { Permit, Settlement } from '../src/permit.js';
import { guardMs, hasWindows, limitOf, periodMsOf } from '../src/policy.js';
import { QuotaStore, STEP_SCRIPTS, type StepReply, type StepRequest } from '../src/store/quota-store.js';
import { invariant, InvariantViolation } from './invariant.js';
import { HOLD_MS, ModelPod, TIMEOUT_MS } from './model-pod.js';
import type { Action, Plan } from './plan.js';
import { type Decision, SimulatedProvider } from './simulated-provider.js';

const COUNTS = ['epoch', 'granted', 'refunded', 'accepted', 'refused', 'unknown'] as const;
/** How soon a pod reports settlements. */
const FLUSH_MS = 50;

interface Send {
  permit: Permit;
  pod: ModelPod;
  arrivesAtMs: number;
  answersAtMs: number | undefined;
  settlement: Settlement | undefined;
}

/** Runs a plan on the real script against a simulated provider; throws at the first violated invariant. */
export class QuotaModel {
  readonly provider: SimulatedProvider;
  /** The most refusals that the events so far can cause: one for each request that the provider may or may not have counted. */
  excused = 0;

  private readonly name = `model-${randomBytes(6).toString('hex')}`;
  private readonly limit: number;
  private readonly store: QuotaStore;
  private readonly pods: ModelPod[];
  private sends: Send[] = [];
  private nowMs = 1_000_000_000;
  /** How far the clock of Redis is behind the true one. */
  private setBackMs = 0;
  private last = { epoch: 0, untilMs: 0 };
  /** The hash as the replica has it: an older one. */
  private replica: Record<string, string> = {};
  private hasCrashedSinceReplica = false;
  private foreignRequests = 0;
  /** Events that put a whole window in doubt: the clock jumped, or steps were lost together with the pod that knew them. */
  private windowsInDoubt = 0;
  /** What happened, for the error message. */
  private readonly story: string[] = [];

  constructor(
    private readonly redis: Redis,
    private readonly plan: Plan,
    scripts = STEP_SCRIPTS,
  ) {
    this.store = new QuotaStore(redis, scripts);
    this.provider = new SimulatedProvider(plan.policy, plan);
    this.limit = limitOf(plan.policy);
    this.pods = Array.from({ length: plan.pods }, (_, index) => this.newPod(index));
  }

  /** @throws InvariantViolation with the story that led to it */
  async run(): Promise<void> {
    try {
      await this.store.provision(this.name);
      for (const action of this.plan.actions) {
        await this.act(action);
        await this.checkCount();
      }
      if (this.plan.neverPauses) await this.checkNoLeak();
      else await this.checkLiveness();
    } catch (error) {
      if (error instanceof InvariantViolation) error.message += `\n${this.story.join('\n')}\n`;
      throw error;
    } finally {
      await this.redis.del(quotaKey(this.name));
    }
  }

  private record(what: string): void {
    this.story.push(`${this.nowMs - 1_000_000_000} ${what}`);
  }

  private async act(action: Action): Promise<void> {
    if ('pod' in action) return this.actOn(this.podAt(action.pod), action);
    if (action.do === 'tick') return this.tick(action.ms);
    if (action.do === 'setClockBack') this.setBackMs += action.ms;
    else if (action.do === 'setClockForward') this.setClockForward(action.ms);
    else return this[action.do]();
  }

  private actOn(pod: ModelPod, action: Extract<Action, { pod: number }>): Promise<void> | void {
    if (action.do === 'reserve') return this.reserve(pod, action);
    if (action.do === 'send') return this.send(pod, action);
    if (action.do === 'pause') return this.pause(pod, action.ms);
    return this[action.do](pod);
  }

  private async reserve(asking: ModelPod, { want, loseReply }: { want: number; loseReply: boolean }): Promise<void> {
    if (asking.isPaused(this.nowMs)) return;
    const request = asking.nextStep(want, this.nowMs);
    const reply = await this.step(asking, request);
    if (loseReply) asking.unconfirmed = request;
    else asking.confirm(request, reply, this.nowMs);
  }

  private async step(asking: ModelPod, request: StepRequest): Promise<StepReply> {
    const serverClockMs = this.nowMs - this.setBackMs;
    const reply = await this.store.step({ ...asking.dated(request, this.nowMs), serverClockMs });
    const { granted, epoch, generation, state, waitMs, used } = reply;
    const settlements = request.settlements.toArguments(request.nowMs).join(' ');
    this.record(
      `${asking.id} #${request.seq} wants ${request.want}, settles [${settlements}]: ${granted} of ${epoch}.${generation}, ${state} ${waitMs} used ${used}`,
    );
    this.checkMonotone(asking, reply);
    return reply;
  }

  private send(
    sender: ModelPod,
    { outMs, backMs, loseAnswer }: Omit<Extract<Action, { do: 'send' }>, 'do' | 'pod'>,
  ): void {
    if (sender.isPaused(this.nowMs)) return;
    const permit = sender.held.shift();
    if (permit === undefined) return;
    if (permit.sendByMs <= this.nowMs) {
      sender.settle(permit, { outcome: 'notSent' }, this.nowMs);
      return;
    }
    const arrivesAtMs = this.nowMs + outMs;
    const inFlight = { permit, pod: sender, arrivesAtMs };
    if (loseAnswer) this.excused += 1;
    // Without an answer the sender settles after its timeout.
    const outcome = loseAnswer
      ? { answersAtMs: this.nowMs + TIMEOUT_MS, settlement: { outcome: 'unknown' as const } }
      : { answersAtMs: arrivesAtMs + backMs, settlement: undefined };
    this.sends.push({ ...inFlight, ...outcome });
  }

  private returnPermit(holder: ModelPod): void {
    const permit = holder.held.shift();
    if (permit !== undefined) holder.settle(permit, { outcome: 'notSent' }, this.nowMs);
  }

  /** A network may deliver a confirmed step once more: nothing may change. */
  private async resend(asking: ModelPod): Promise<void> {
    if (asking.confirmed === undefined || asking.unconfirmed !== undefined) return;
    const before = await this.countsOf();
    await this.store.step({ ...asking.confirmed, serverClockMs: this.nowMs - this.setBackMs });
    const after = await this.countsOf();
    if (before === undefined || after === undefined || before.epoch !== after.epoch) return;
    const isSame = after.granted === before.granted && after.refunded === before.refunded;
    invariant(isSame, 'a step applied twice equals once');
  }

  private crash(dying: ModelPod): void {
    const inFlight = this.sends.filter(({ pod }) => pod === dying);
    // Its requests arrive all the same, but no pod receives their answers or reports those received.
    this.excused += this.unreported(dying);
    for (const send of inFlight) send.answersAtMs = undefined;
    const index = this.pods.indexOf(dying);
    this.pods[index] = this.newPod(index);
    this.hasCrashedSinceReplica = true;
  }

  private pause(pausing: ModelPod, ms: number): void {
    pausing.pausedUntilMs = this.nowMs + ms;
    // It may send and report too late.
    this.excused += this.unreported(pausing);
  }

  /** The requests that only this pod knows about. */
  private unreported(pod: ModelPod): number {
    const inFlight = this.sends.filter((send) => send.pod === pod).length;
    const settled = (pod.hasSettlements ? this.limit : 0) + (pod.unconfirmed === undefined ? 0 : this.limit);
    return inFlight + pod.held.length + settled;
  }

  private async forget(): Promise<void> {
    await this.redis.del(quotaKey(this.name));
    this.excuseLostCount();
  }

  /** A replica takes over that lacks the latest steps; all pods notice it. */
  private async failOver(): Promise<void> {
    const lost = await this.redis.hgetall(quotaKey(this.name));
    if (Object.keys(this.replica).length > 0) {
      await this.redis.del(quotaKey(this.name));
      await this.redis.hset(quotaKey(this.name), this.replica);
      this.excuseLostCount();
      // A paused or crashed pod cannot report which of its steps are missing.
      if (this.hasCrashedSinceReplica || this.pods.some((pod) => pod.isPaused(this.nowMs))) {
        this.excused += this.limit;
        this.windowsInDoubt += 1;
      }
      for (const pod of this.pods) {
        // Its last step was sent to the old master.
        pod.confirmed = undefined;
        await this.reserve(pod, { want: 0, loseReply: false });
      }
    }
    this.replica = lost;
    this.hasCrashedSinceReplica = false;
  }

  private excuseLostCount(): void {
    this.last = { epoch: this.last.epoch, untilMs: 0 };
    // The new count knows neither the permits granted before nor the requests in flight.
    this.excused += 1 + this.sends.length + this.pods.reduce((sum, { held }) => sum + held.length, 0);
  }

  /** A pod that knows of a block reports it; the others may send too early. */
  private setClockForward(ms: number): void {
    this.setBackMs -= ms;
    this.excused += 2 * this.limit;
    this.windowsInDoubt += 1;
    this.last = { epoch: this.last.epoch, untilMs: 0 };
  }

  private foreign(): void {
    // One refusal for the slot it takes, one for the window it may start.
    this.provider.decide(this.nowMs, { isForeign: true });
    const { accepted, isProbe = false } = this.provider.log.at(-1) ?? { accepted: false };
    if (!accepted && !isProbe) return;
    this.excused += 2;
    this.foreignRequests += 1;
  }

  /** Time passes. As in reality, pods meanwhile retry lost steps and flush settlements. */
  private async tick(ms: number): Promise<void> {
    const endMs = this.nowMs + ms;
    while (this.nowMs < endMs) {
      this.passTime(Math.min(endMs - this.nowMs, FLUSH_MS));
      for (const each of this.pods) await this.flush(each);
    }
    this.passTime(0);
  }

  private async flush(each: ModelPod): Promise<void> {
    if (each.isPaused(this.nowMs)) return;
    while ((each.held[0]?.sendByMs ?? Infinity) <= this.nowMs) this.returnPermit(each);
    if (each.unconfirmed !== undefined) await this.reserve(each, { want: 0, loseReply: false });
    if (each.hasSettlements) await this.reserve(each, { want: 0, loseReply: false });
  }

  private passTime(ms: number): void {
    const endMs = this.nowMs + ms;
    for (;;) {
      const next = this.nextEvent();
      if (next === undefined || next.atMs > endMs) break;
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.happen();
    }
    this.nowMs = endMs;
  }

  private nextEvent(): { atMs: number; happen: () => void } | undefined {
    const events = this.sends.flatMap((send) => {
      const arrives = { atMs: send.arrivesAtMs, happen: () => this.arrive(send) };
      const answers = { atMs: send.answersAtMs ?? Infinity, happen: () => this.answer(send) };
      return send.arrivesAtMs < Infinity ? [arrives] : [answers];
    });
    return events.toSorted((one, other) => one.atMs - other.atMs)[0];
  }

  private arrive(send: Send): void {
    const decision = this.provider.decide(send.arrivesAtMs);
    this.record(`provider ${decision.accepted ? 'accepts' : 'refuses'} ${send.pod.id}, ${decision.remaining} left`);
    send.arrivesAtMs = Infinity;
    const announced = this.announcementOf(decision);
    send.settlement ??= decision.accepted ? { outcome: 'accepted', announced } : { outcome: 'refused', announced };
    if (send.answersAtMs === undefined) this.sends = this.sends.filter((other) => other !== send);
  }

  private announcementOf({ accepted, remaining, resetMs }: Decision): Announcement {
    const { announces } = this.plan;
    const round = announces === 'rounded down' ? Math.floor : Math.ceil;
    const waitMs = resetMs === undefined ? undefined : round(resetMs / 1_000) * 1_000;
    const retryAfter = accepted || waitMs === undefined ? {} : { retryAfterMs: waitMs };
    const isSilent = announces === 'in every other answer' && this.provider.log.length % 2 === 0;
    if (announces === 'nothing' || isSilent) return retryAfter;
    return { remaining, ...(waitMs === undefined ? {} : { resetMs: waitMs }), ...retryAfter };
  }

  private answer(send: Send): void {
    this.sends = this.sends.filter((other) => other !== send);
    if (send.settlement !== undefined) send.pod.settle(send.permit, send.settlement, this.nowMs);
  }

  private async countsOf(): Promise<Record<(typeof COUNTS)[number], number> | undefined> {
    const values = await this.redis.hmget(quotaKey(this.name), ...COUNTS);
    if (values[0] == null) return undefined;
    const [epoch = 0, granted = 0, refunded = 0, accepted = 0, refused = 0, unknown = 0] = values.map(Number);
    return { epoch, granted, refunded, accepted, refused, unknown };
  }

  private async checkCount(): Promise<void> {
    const counts = await this.countsOf();
    if (counts !== undefined) {
      const used = counts.granted - counts.refunded;
      if (this.hasWindows) {
        invariant(used <= this.limit + this.probes, 'an epoch grants no more than the limit');
      }
      invariant(
        counts.accepted + counts.refused + counts.unknown <= used,
        'no more permits are settled than were granted',
      );
    }
    if (this.excused === 0) invariant(this.provider.refusals === 0, 'no refusal when every answer arrives');
    invariant(this.provider.refusals <= this.excused, 'at most one refusal per unknown');
  }

  /** Whether the engine sees every window. Another client's refusal may start a block, and end it, unseen. */
  private get hasWindows(): boolean {
    const { policy } = this.plan;
    if (policy.policy === 'count-then-block') return policy.startsAt === 'last-accept' || this.foreignRequests === 0;
    return policy.policy === 'fixed-window';
  }

  /**
   * Permits beyond the limit: one in every window where a refusal starts the block. Each unknown may have been another such
   * probe, whose refusal was lost, followed by a whole window.
   */
  private get probes(): number {
    const { policy } = this.plan;
    return policy.policy === 'count-then-block' && policy.startsAt === 'first-refusal'
      ? 1 + this.excused * (1 + this.limit)
      : 0;
  }

  private checkMonotone(asking: ModelPod, reply: StepReply): void {
    invariant(reply.epoch >= asking.known.epoch, 'an epoch never goes back');
    const untilMs = reply.state === 'blocked' ? this.nowMs + reply.waitMs : 0;
    const isWindow = this.plan.policy.policy === 'count-then-block';
    if (isWindow && reply.epoch === this.last.epoch && this.last.untilMs > 0) {
      invariant(untilMs >= this.last.untilMs || this.nowMs >= this.last.untilMs, 'a block never gets shorter');
    }
    this.last = { epoch: reply.epoch, untilMs };
  }

  /** While demand continues: the permits of crashed pods time out, and no permit of a live pod is lost. */
  private async checkNoLeak(): Promise<void> {
    for (const each of this.pods) each.pausedUntilMs = 0;
    const worker = this.newPod(50);
    this.pods.push(worker);
    for (let ms = 0; ms < 4 * HOLD_MS; ms += FLUSH_MS) {
      await this.reserve(worker, { want: 1, loseReply: false });
      this.send(worker, { outMs: 0, backMs: 0, loseAnswer: false });
      await this.tick(FLUSH_MS);
      await this.checkCount();
    }
    const counts = await this.countsOf();
    if (counts === undefined) return;
    const outstanding = counts.granted - counts.refunded - counts.accepted - counts.refused - counts.unknown;
    invariant(outstanding <= worker.held.length + 1, 'permits of crashed pods time out while demand continues');
  }

  /** With demand, whatever happened before: the quota opens in time, and windows are used completely. */
  private async checkLiveness(): Promise<void> {
    for (const each of this.pods) each.pausedUntilMs = 0;
    await this.tick(HOLD_MS + TIMEOUT_MS);
    const worker = this.newPod(99);
    this.pods.push(worker);
    for (const other of this.pods) {
      if (other.unconfirmed !== undefined) await this.reserve(other, { want: 0, loseReply: false });
      while (other.held.length > 0) this.returnPermit(other);
      await this.reserve(other, { want: 0, loseReply: false });
    }
    const refusalsBefore = this.provider.refusals;
    // Requests in flight at the start may be answered late and count in two windows. After those, windows are clean.
    for (let window = 0; window < 4; window += 1) await this.useWindow(worker, { isClean: window === 3 });
    const refusals = this.provider.refusals - refusalsBefore;
    // The engine learns from refusals about a window that another client started, or that ended when the clock jumped.
    const unseen = (this.foreignRequests + this.windowsInDoubt) * this.limit;
    const allowed = this.excused === 0 ? 0 : 2 + unseen;
    invariant(refusals <= allowed, 'an unknown past costs few refusals');
    const accepted = await this.useWindow(worker, { isClean: true });
    invariant(accepted >= this.limit, 'every slot of a window is used');
  }

  /** Sends until the quota is blocked, then waits until it opens; returns the number of accepted requests. */
  private async useWindow(worker: ModelPod, { isClean }: { isClean: boolean }): Promise<number> {
    const acceptedBefore = this.provider.accepted;
    for (let tries = 0; tries <= this.limit * 2 + 4; tries += 1) {
      await this.reserve(worker, { want: this.limit + 1, loseReply: false });
      if (worker.held.length === 0) break;
      while (worker.held.length > 0) this.send(worker, { outMs: 0, backMs: 0, loseAnswer: false });
      await this.tick(1);
    }
    await this.reserve(worker, { want: 0, loseReply: false });
    const { state, waitMs } = await this.step(worker, worker.peek(this.nowMs));
    invariant(state === 'blocked', 'a spent and settled quota is blocked');
    // The block of a forgotten quota includes a hold time.
    invariant(waitMs <= this.longestMs() + HOLD_MS, 'a block lasts no longer than a period');
    if (isClean && this.excused === 0) this.checkReopening(waitMs);
    await this.tick(this.untilWholeMs(waitMs));
    return this.provider.accepted - acceptedBefore;
  }

  private checkReopening(waitMs: number): void {
    const lateMs = this.nowMs + waitMs - this.provider.opensAtMs(this.nowMs);
    // The second part is the time that sending took.
    const allowedMs = this.marginMs() + this.limit * 2 + 6;
    invariant(lateMs <= allowedMs, 'a quota opens when its provider does');
  }

  /** How well the provider's own opening time can be known: drift, clock skew and rounding limit it. */
  private marginMs(): number {
    const { policy } = this.plan;
    const periodMs = periodMsOf(policy);
    const skewMs =
      policy.policy === 'fixed-window' && 'anchor' in policy && policy.anchor === 'clock' ? 2 * policy.clockSkewMs : 0;
    const roundingMs = policy.policy === 'sliding-window' ? Math.ceil(periodMs / 256) : 0;
    return 2 * guardMs(periodMs) + skewMs + roundingMs;
  }

  private longestMs(): number {
    return periodMsOf(this.plan.policy) + this.marginMs();
  }

  /** A window opens with all its slots; otherwise slots and tokens return one by one. */
  private untilWholeMs(waitMs: number): number {
    const { policy } = this.plan;
    if (hasWindows(policy)) return waitMs;
    return waitMs + Math.ceil(periodMsOf(policy) * (1 + 1 / 64)) + 10;
  }

  private podAt(index: number): ModelPod {
    const found = this.pods[index % this.pods.length];
    if (found === undefined) throw new Error('a plan has at least one pod');
    return found;
  }

  private newPod(index: number): ModelPod {
    return new ModelPod(this.name, this.plan.policy, index * 3_600_000 - 7_200_000);
  }
}
