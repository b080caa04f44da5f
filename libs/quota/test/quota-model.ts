import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import type { Redis } from 'ioredis';
import { quotaKey } from '../src/keys.js';
import type { Permit, Settlement } from '../src/permit.js';
import { guardMs } from '../src/policy.js';
import { QuotaStore, STEP_LUA, type StepReply, type StepRequest } from '../src/quota-store.js';
import { SettlementBatch } from '../src/settlement-batch.js';
import { SimulatedProvider } from './simulated-provider.js';

/** What can happen in a run. `pod` counts modulo the number of pods. */
export type Action =
  | { do: 'reserve'; pod: number; want: number; loseReply: boolean }
  | { do: 'send'; pod: number; outMs: number; backMs: number; loseAnswer: boolean }
  | { do: 'giveBack'; pod: number }
  | { do: 'repeat'; pod: number }
  | { do: 'crash'; pod: number }
  | { do: 'pause'; pod: number; ms: number }
  | { do: 'forget' }
  | { do: 'setClockBack'; ms: number }
  | { do: 'tick'; ms: number };

export interface Plan {
  pods: number;
  limit: number;
  blockMs: number;
  drift: number;
  actions: Action[];
}

const COUNTS = ['epoch', 'granted', 'refunded', 'accepted', 'refused', 'unknown'] as const;
const PERMIT_MS = 100;
const TIMEOUT_MS = 200;
/** How soon a pod tells what has settled. */
const FLUSH_MS = 50;
/** As the pod side computes it, with its slack. */
const HOLD_MS = PERMIT_MS + TIMEOUT_MS + 50;

const pod = fc.nat(7);
const ACTIONS = {
  reserve: fc.record({
    do: fc.constant('reserve'),
    pod,
    want: fc.integer({ min: 1, max: 4 }),
    loseReply: fc.boolean(),
  }),
  calmReserve: fc.record({
    do: fc.constant('reserve'),
    pod,
    want: fc.integer({ min: 1, max: 4 }),
    loseReply: fc.constant(false),
  }),
  send: fc.record({
    do: fc.constant('send'),
    pod,
    outMs: fc.integer({ min: 0, max: 90 }),
    backMs: fc.integer({ min: 0, max: 90 }),
    loseAnswer: fc.constant(false),
  }),
  lossySend: fc.record({
    do: fc.constant('send'),
    pod,
    outMs: fc.integer({ min: 0, max: 90 }),
    backMs: fc.integer({ min: 0, max: 90 }),
    loseAnswer: fc.boolean(),
  }),
  giveBack: fc.record({ do: fc.constant('giveBack'), pod }),
  repeat: fc.record({ do: fc.constant('repeat'), pod }),
  crash: fc.record({ do: fc.constant('crash'), pod }),
  pause: fc.record({ do: fc.constant('pause'), pod, ms: fc.integer({ min: 50, max: 1_000 }) }),
  forget: fc.record({ do: fc.constant('forget') }),
  setClockBack: fc.record({ do: fc.constant('setClockBack'), ms: fc.integer({ min: 1, max: 3_600_000 }) }),
  tick: fc.record({ do: fc.constant('tick'), ms: fc.integer({ min: 0, max: 120 }) }),
  longTick: fc.record({ do: fc.constant('tick'), ms: fc.integer({ min: 200, max: 800 }) }),
} as const;

const weighted = (weights: Partial<Record<keyof typeof ACTIONS, number>>): fc.Arbitrary<Action> =>
  fc.oneof(
    ...Object.entries(weights).map(([name, weight]) => ({
      weight,
      arbitrary: ACTIONS[name as keyof typeof ACTIONS] as fc.Arbitrary<Action>,
    })),
  );

/** Nothing goes wrong but timing: every answer arrives, slots may be given back, steps may be repeated. */
export const CALM = weighted({
  calmReserve: 6,
  send: 10,
  giveBack: 1,
  repeat: 1,
  tick: 6,
  longTick: 2,
  setClockBack: 1,
});
/** Everything may go wrong. */
export const STORMY = weighted({
  reserve: 6,
  lossySend: 10,
  giveBack: 1,
  repeat: 1,
  crash: 1,
  pause: 1,
  forget: 1,
  tick: 6,
  longTick: 2,
});

export const planOf = (action: fc.Arbitrary<Action>): fc.Arbitrary<Plan> =>
  fc.record({
    pods: fc.integer({ min: 1, max: 4 }),
    limit: fc.integer({ min: 1, max: 6 }),
    blockMs: fc.constantFrom(300, 1_000, 20_000),
    drift: fc.constantFrom(0, 1e-4, -1e-4),
    actions: fc.array(action, { minLength: 20, maxLength: 90 }),
  });

interface Send {
  permit: Permit;
  pod: Pod;
  arrivesAtMs: number;
  answersAtMs: number | undefined;
  settlement: Settlement | undefined;
}

interface Pod {
  id: string;
  seq: number;
  /** Pods share no clock: each one's monotonic clock began at another moment. */
  clockOffsetMs: number;
  knownEpoch: number;
  /** Stands still until then: it neither sends nor tells. */
  pausedUntilMs: number;
  held: Permit[];
  settled: SettlementBatch;
  unconfirmed: StepRequest | undefined;
  /** Its last step that was granted something: Redis keeps what it answered. */
  confirmed: StepRequest | undefined;
}

/** Runs a plan on the real script, against a provider that counts for itself; throws at the first broken promise. */
export class QuotaModel {
  readonly provider: SimulatedProvider;
  /** Everything after which nobody can know what the provider has counted. */
  unknowns = 0;

  private readonly name = `model-${randomBytes(6).toString('hex')}`;
  private readonly store: QuotaStore;
  private readonly pods: Pod[];
  private sends: Send[] = [];
  private nowMs = 1_000_000_000;
  /** How far the server's clock is behind the true one. */
  private setBackMs = 0;
  private last = { epoch: 0, untilMs: 0 };

  constructor(
    private readonly redis: Redis,
    private readonly plan: Plan,
    lua = STEP_LUA,
  ) {
    this.store = new QuotaStore(redis, lua);
    this.provider = new SimulatedProvider(plan);
    this.pods = Array.from({ length: plan.pods }, (_, index) => this.newPod(index));
  }

  async run(): Promise<void> {
    await this.store.provision(this.name);
    for (const action of this.plan.actions) {
      await this.act(action);
      await this.checkCount();
    }
    await this.checkLiveness();
    await this.redis.del(quotaKey(this.name));
  }

  private act(action: Action): Promise<void> | void {
    switch (action.do) {
      case 'reserve':
        return this.reserve(this.podAt(action.pod), action);
      case 'send':
        return this.send(this.podAt(action.pod), action);
      case 'giveBack':
        return this.giveBack(this.podAt(action.pod));
      case 'repeat':
        return this.repeat(this.podAt(action.pod));
      case 'crash':
        return this.crash(action.pod);
      case 'pause':
        return this.pause(this.podAt(action.pod), action.ms);
      case 'forget':
        return this.forget();
      case 'setClockBack':
        this.setBackMs += action.ms;
        return undefined;
      case 'tick':
        return this.tick(action.ms);
    }
  }

  private async reserve(asking: Pod, { want, loseReply }: { want: number; loseReply: boolean }): Promise<void> {
    if (this.isPaused(asking)) return;
    const isRepeat = asking.unconfirmed !== undefined;
    const request = asking.unconfirmed ?? this.compose(asking, want);
    const startedMs = isRepeat ? request.nowMs - asking.clockOffsetMs : this.nowMs;
    const reply = await this.step(asking, request);
    if (loseReply) {
      asking.unconfirmed = request;
      return;
    }
    asking.unconfirmed = undefined;
    asking.confirmed = reply.granted > 0 ? request : undefined;
    asking.knownEpoch = Math.max(asking.knownEpoch, reply.epoch);
    for (let i = 0; i < reply.granted; i += 1) {
      const { epoch, generation } = reply;
      asking.held.push({ provider: this.name, epoch, generation, sendByMs: startedMs + PERMIT_MS });
    }
  }

  private compose(asking: Pod, want: number): StepRequest {
    const settlements = asking.settled;
    asking.settled = new SettlementBatch();
    asking.seq += 1;
    return this.requestOf(asking, { want, settlements });
  }

  private requestOf(
    { id, seq, clockOffsetMs, knownEpoch }: Pod,
    { want, settlements }: { want: number; settlements: SettlementBatch },
  ): StepRequest {
    const { limit, blockMs } = this.plan;
    return {
      provider: this.name,
      policy: { policy: 'count-then-block', limit, blockMs, startsAt: 'last-accept' },
      podId: id,
      seq,
      want,
      holdMs: HOLD_MS,
      whenForgotten: 'blocked',
      knownEpoch,
      settlements,
      nowMs: this.nowMs + clockOffsetMs,
    };
  }

  /** A step as it is sent now, however often: only its ages are new. */
  private async step(asking: Pod, request: StepRequest): Promise<StepReply> {
    const reply = await this.store.step({
      ...request,
      knownEpoch: asking.knownEpoch,
      nowMs: this.nowMs + asking.clockOffsetMs,
      serverClockMs: this.nowMs - this.setBackMs,
    });
    this.checkMonotone(reply);
    return reply;
  }

  private send(
    sender: Pod,
    { outMs, backMs, loseAnswer }: { outMs: number; backMs: number; loseAnswer: boolean },
  ): void {
    if (this.isPaused(sender)) return;
    const permit = sender.held.shift();
    if (permit === undefined) return;
    if (permit.sendByMs <= this.nowMs) {
      this.settle(sender, permit, { outcome: 'notSent' });
      return;
    }
    const arrivesAtMs = this.nowMs + outMs;
    const answersAtMs = loseAnswer ? undefined : arrivesAtMs + backMs;
    this.sends.push({ permit, pod: sender, arrivesAtMs, answersAtMs, settlement: undefined });
    if (!loseAnswer) return;
    this.unknowns += 1;
    // Nothing comes: the sender gives up after its time-out.
    const send = this.sends.at(-1);
    if (send !== undefined)
      Object.assign(send, { answersAtMs: this.nowMs + TIMEOUT_MS, settlement: { outcome: 'unknown' } });
  }

  private giveBack(holder: Pod): void {
    const permit = holder.held.shift();
    if (permit !== undefined) this.settle(holder, permit, { outcome: 'notSent' });
  }

  /** The same step once more, after it was confirmed, as a network may deliver it: nothing may change. */
  private async repeat(asking: Pod): Promise<void> {
    if (asking.confirmed === undefined || asking.unconfirmed !== undefined) return;
    const before = await this.countsOf();
    const { provider, ...rest } = asking.confirmed;
    await this.store.step({ provider, ...rest, serverClockMs: this.nowMs - this.setBackMs });
    const after = await this.countsOf();
    if (before !== undefined && after !== undefined && before.epoch === after.epoch) {
      promise(
        after.granted === before.granted && after.refunded === before.refunded,
        'a step applied twice equals once',
      );
    }
  }

  private crash(index: number): void {
    const dying = this.podAt(index);
    const inFlight = this.sends.filter(({ pod: sender }) => sender === dying);
    // Its requests arrive all the same; nobody is there to hear the answers, or to tell of those heard.
    this.unknowns += inFlight.length + dying.held.length + (dying.settled.isEmpty ? 0 : this.plan.limit);
    if (dying.unconfirmed !== undefined) this.unknowns += this.plan.limit;
    for (const send of inFlight) send.answersAtMs = undefined;
    this.pods[index % this.pods.length] = this.newPod(index);
  }

  private pause(pausing: Pod, ms: number): void {
    pausing.pausedUntilMs = this.nowMs + ms;
    // What it holds, and what it has heard, may be told too late.
    const inFlight = this.sends.filter(({ pod: sender }) => sender === pausing).length;
    this.unknowns += pausing.held.length + inFlight + (pausing.settled.isEmpty ? 0 : this.plan.limit);
    if (pausing.unconfirmed !== undefined) this.unknowns += this.plan.limit;
  }

  private async forget(): Promise<void> {
    await this.redis.del(quotaKey(this.name));
    this.last = { epoch: this.last.epoch, untilMs: 0 };
    // What was granted before is unknown to the count, and so is what is on its way.
    this.unknowns += 1 + this.sends.length + this.pods.reduce((sum, { held }) => sum + held.length, 0);
  }

  /** Time passes; pods go on doing by themselves what the real ones do: repeat lost steps, flush what has settled. */
  private async tick(ms: number): Promise<void> {
    const endMs = this.nowMs + ms;
    while (this.nowMs < endMs) {
      this.passTime(Math.min(endMs - this.nowMs, FLUSH_MS));
      for (const each of this.pods) await this.flush(each);
    }
    this.passTime(0);
  }

  private isPaused({ pausedUntilMs }: Pod): boolean {
    return this.nowMs < pausedUntilMs;
  }

  private async flush(each: Pod): Promise<void> {
    if (this.isPaused(each)) return;
    while ((each.held[0]?.sendByMs ?? Infinity) <= this.nowMs) this.giveBack(each);
    if (each.unconfirmed !== undefined) await this.reserve(each, { want: 0, loseReply: false });
    if (!each.settled.isEmpty) await this.reserve(each, { want: 0, loseReply: false });
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
    send.arrivesAtMs = Infinity;
    send.settlement ??= decision.accepted
      ? { outcome: 'accepted' }
      : { outcome: 'refused', retryAfterMs: decision.retryAfterMs };
    if (send.answersAtMs === undefined) this.sends = this.sends.filter((other) => other !== send);
  }

  private answer(send: Send): void {
    this.sends = this.sends.filter((other) => other !== send);
    if (send.settlement !== undefined) this.settle(send.pod, send.permit, send.settlement);
  }

  private settle(holder: Pod, permit: Permit, settlement: Settlement): void {
    holder.settled.add({ permit, settlement, nowMs: this.nowMs + holder.clockOffsetMs });
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
      promise(used <= this.plan.limit, 'an epoch grants no more than the limit');
      promise(counts.accepted + counts.refused + counts.unknown <= used, 'no more is settled than was granted');
    }
    if (this.unknowns === 0) promise(this.provider.refusals === 0, 'no refusal when every answer arrives');
    promise(this.provider.refusals <= this.unknowns, 'one refusal at most per unknown');
  }

  private checkMonotone(reply: StepReply): void {
    promise(reply.epoch >= this.last.epoch, 'epochs never go back');
    const untilMs = reply.state === 'blocked' ? this.nowMs + reply.waitMs : 0;
    if (reply.epoch === this.last.epoch && this.last.untilMs > 0) {
      promise(untilMs >= this.last.untilMs, 'a block never gets shorter');
    }
    this.last = { epoch: reply.epoch, untilMs };
  }

  /** After whatever happened, with demand: the quota opens in time, and the window after next is used to its last. */
  private async checkLiveness(): Promise<void> {
    for (const each of this.pods) each.pausedUntilMs = 0;
    await this.tick(HOLD_MS + TIMEOUT_MS);
    const worker = this.newPod(99);
    this.pods.push(worker);
    for (const other of this.pods) {
      if (other.unconfirmed !== undefined) await this.reserve(other, { want: 0, loseReply: false });
      while (other.held.length > 0) this.giveBack(other);
      await this.reserve(other, { want: 0, loseReply: false });
    }
    const refusalsBefore = this.provider.refusals;
    // The window after the first complete one owes nothing to what happened before.
    // A count that was just forgotten is blocked for a hold time longer.
    for (let window = 0; window < 3; window += 1) await this.useWindow(worker, window === 0 ? HOLD_MS : 0);
    const refusals = this.provider.refusals - refusalsBefore;
    promise(refusals <= (this.unknowns === 0 ? 0 : 2), 'an unknown past costs one refusal, not many');
    const accepted = await this.useWindow(worker);
    promise(accepted === this.plan.limit, 'every slot of a window is used');
  }

  /** Sends as many at once as it may until the quota is blocked, then waits for it to open; tells how many were accepted. */
  private async useWindow(worker: Pod, allowanceMs = 0): Promise<number> {
    const { limit, blockMs } = this.plan;
    const acceptedBefore = this.provider.log.filter(({ accepted }) => accepted).length;
    for (let tries = 0; tries <= limit * 2 + 2; tries += 1) {
      await this.reserve(worker, { want: limit, loseReply: false });
      if (worker.held.length === 0) break;
      while (worker.held.length > 0) this.send(worker, { outMs: 0, backMs: 0, loseAnswer: false });
      await this.tick(1);
    }
    await this.reserve(worker, { want: 0, loseReply: false });
    const reply = await this.step(worker, this.requestOf(worker, { want: 0, settlements: new SettlementBatch() }));
    promise(reply.state === 'blocked', 'a spent and settled window is blocked');
    // The provider's own, as it says when it refuses, and the guard.
    const longestMs = Math.ceil(blockMs * 1.0001) + guardMs(blockMs) + 1;
    promise(reply.waitMs <= longestMs + allowanceMs, "a block is no longer than the provider's and the guard");
    await this.tick(reply.waitMs);
    return this.provider.log.filter(({ accepted }) => accepted).length - acceptedBefore;
  }

  private podAt(index: number): Pod {
    const found = this.pods[index % this.pods.length];
    if (found === undefined) throw new Error('a plan has at least one pod');
    return found;
  }

  private newPod(index: number): Pod {
    return {
      id: randomBytes(4).toString('hex'),
      seq: 0,
      clockOffsetMs: index * 3_600_000 - 7_200_000,
      knownEpoch: 0,
      pausedUntilMs: 0,
      held: [],
      settled: new SettlementBatch(),
      unconfirmed: undefined,
      confirmed: undefined,
    };
  }
}

export class BrokenPromise extends Error {
  override name = 'BrokenPromise';
}

function promise(kept: boolean, what: string): void {
  if (!kept) throw new BrokenPromise(what);
}
