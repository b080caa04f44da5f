import { randomBytes } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { TcpProxy } from '../../../verification/engines/tcp-proxy.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { quotaKey } from '../src/store/keys.js';
import type { Permit, QuotaEvent, Reservation, Settlement } from '../src/permit.js';
import { guardMs } from '../src/policy.js';
import { ProviderQuota } from '../src/pod/provider-quota.js';
import { QUOTA_REDIS_OPTIONS } from '../src/store/quota-redis.js';
import { QuotaStore } from '../src/store/quota-store.js';
import { invariant } from './invariant.js';
import { ObservedEpochs, STALL_MS } from './observed-epochs.js';

/** Two clocks round to milliseconds. */
const ROUNDING_MS = 5;
/** Without a socket timeout, held replies never break the connection: a reservation left unanswered stays so. */
const { socketTimeout: _, ...CONNECTION } = QUOTA_REDIS_OPTIONS;
/** A pod prefetches at most `max` permits, and only from quotas with a larger limit than `from`. */
const PREFETCH = { max: 32, from: 1_000 };
const COUNTS = ['epoch', 'granted', 'refunded', 'accepted', 'refused', 'unknown', 'blockedUntilMs'] as const;

export interface World {
  pods: number;
  limit: number;
  blockMs: number;
  permitMs: number;
  timeoutMs: number;
  budgetMs: number;
}

/** The defaults: patient pods far from the limit. */
export const CALM: World = {
  pods: 1,
  limit: 1_000,
  blockMs: 60_000,
  permitMs: 20_000,
  timeoutMs: 20_000,
  budgetMs: 20_000,
};

export interface Pod {
  quota: ProviderQuota;
  redis: Redis;
  proxy: TcpProxy;
  held: Permit[];
  events: QuotaEvent['event'][];
  /** Unanswered reservations. */
  waiting: number;
  /** Everything that justifies a trip. */
  reasons: { asked: number; handedOut: number; settled: number; reads: number; connections: number };
  /** The last epoch in which the provider refused a request of this pod. */
  refusedEpoch: number;
}

/** Drives real pods on a real Redis through connections that may break; throws at the first violated invariant. */
export class PodModel {
  readonly pods: Pod[] = [];

  private readonly provider = `pod-${randomBytes(6).toString('hex')}`;
  private readonly direct = new Redis(process.env['TEST_REDIS_URL'] ?? '');
  private readonly observed: ObservedEpochs;

  private constructor(
    private readonly world: World,
    /** How long to wait for a condition: short where it is known never to hold. */
    private readonly patienceMs: number,
  ) {
    this.observed = new ObservedEpochs(world);
  }

  /** Runs `play` on the pods of this world; then restores all connections, settles all permits and checks the counts. */
  static async run(
    play: (model: PodModel) => Promise<void>,
    world: Partial<World>,
    { patienceMs = 20_000 } = {},
  ): Promise<void> {
    const model = new PodModel({ ...CALM, ...world }, patienceMs);
    try {
      for (let i = 0; i < model.world.pods; i += 1) await model.addPod();
      await new QuotaStore(model.direct).provision(model.provider);
      await play(model);
      await model.finish();
    } finally {
      await model.tearDown();
    }
  }

  pod(index = 0): Pod {
    const found = this.pods[index % this.pods.length];
    if (found === undefined) throw new Error('a world has at least one pod');
    return found;
  }

  /** Reserves a permit and holds it. */
  async reserve(pod: Pod): Promise<Reservation> {
    pod.reasons.asked += 1;
    pod.waiting += 1;
    const reservation = await pod.quota.reserve();
    pod.waiting -= 1;
    if (reservation.granted) {
      pod.held.push(reservation.permit);
      pod.reasons.handedOut += 1;
      this.observed.noteGranted(reservation.permit, pod.refusedEpoch);
    }
    return reservation;
  }

  /** Makes `count` reservations at once. */
  async reserveMany(pod: Pod, count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.reserve(pod)));
  }

  /** Lets Redis grant a permit while the reply is held back. */
  async grantWithoutReply(pod: Pod): Promise<void> {
    pod.proxy.holdReplies();
    void this.reserve(pod);
    await this.isStored('granted', (granted) => granted === 1, 'Redis grants a permit');
  }

  /** Reserves until the pod, which is the only one, has prefetched permits. */
  async reserveUntilPrefetched(pod: Pod): Promise<void> {
    const inHand = async (): Promise<number> => {
      const { granted, refunded } = await this.counts();
      return granted - refunded;
    };
    do await this.reserve(pod);
    while ((await inHand()) === pod.reasons.handedOut);
  }

  /** Settles like a sender: with this outcome, or as not sent if the permit has expired. */
  settle(pod: Pod, settlement: Settlement, { times = 1 } = {}): void {
    const permit = pod.held.shift();
    if (permit === undefined) return;
    const actual: Settlement = performance.now() < permit.sendByMs ? settlement : { outcome: 'notSent' };
    this.observed.noteSettled(permit, actual);
    if (actual.outcome === 'refused') pod.refusedEpoch = Math.max(pod.refusedEpoch, permit.epoch);
    pod.reasons.settled += 1;
    // A refusal that names its block: without it, the quota would take it for one that its count does not explain.
    const announced = { retryAfterMs: this.world.blockMs };
    const reported: Settlement = actual.outcome === 'refused' ? { ...actual, announced } : actual;
    for (let time = 0; time < times; time += 1) pod.quota.settle(permit, reported);
  }

  /** Waits one turn of the event loop: what was reserved has been sent; held replies are still unread. */
  async turn(): Promise<number> {
    await nextTurn();
    return performance.now();
  }

  async pass(ms: number): Promise<void> {
    const endMs = performance.now() + ms;
    await waitUntil(() => performance.now() >= endMs, { what: 'time passes', everyMs: Math.min(ms, 10) });
  }

  /** The pod is connected and has read all earlier replies. */
  async isConnected({ redis }: Pod): Promise<void> {
    const isAnswered = (): Promise<boolean> => redis.ping().then(Boolean, () => false);
    await waitUntil(isAnswered, { what: 'a pod is connected', everyMs: 2 });
    await this.turn();
  }

  async areAnswered(pods = this.pods): Promise<void> {
    await this.until(() => pods.every(({ waiting }) => waiting === 0), 'every reservation is answered');
  }

  /** Waits until a field of the hash has such a value. */
  async isStored(field: (typeof COUNTS)[number], isSo: (value: number) => boolean, what: string): Promise<void> {
    await this.until(async () => isSo((await this.counts())[field]), what);
  }

  /** The pod knows the block that started at the last answer. */
  async checkKnowsBlock(pod: Pod): Promise<void> {
    const tripsBefore = pod.quota.trips;
    const reservation = await this.reserve(pod);
    invariant(pod.quota.trips === tripsBefore, 'a pod that knows of a block makes no trip');
    this.checkBlocked(reservation);
  }

  /** A reservation answered just now has the right wait for the block that started at the last answer. */
  checkBlocked(reservation: Reservation): void {
    const nowMs = performance.now();
    invariant(!reservation.granted && reservation.reason === 'blocked', 'a blocked quota grants nothing');
    if (reservation.granted || reservation.reason !== 'blocked') return;
    const { blockMs } = this.world;
    const opensMs = this.observed.lastAnswerMs + blockMs;
    // A pod counts from the sending of its step: its wait is short by the time that the step was in flight.
    invariant(nowMs + reservation.waitMs >= opensMs - STALL_MS, 'a block is counted from the last answer');
    const latestMs = opensMs + guardMs(blockMs) + STALL_MS + ROUNDING_MS;
    invariant(nowMs + reservation.waitMs <= latestMs, 'a pod knows a block no longer than it lasts');
  }

  /** Reads the state, which must change nothing. */
  readState(pod: Pod): void {
    pod.reasons.reads += 1;
    void pod.quota.state();
  }

  async close(pod: Pod): Promise<void> {
    await pod.quota.close();
  }

  private async addPod(): Promise<void> {
    const { hostname, port } = new URL(process.env['TEST_REDIS_URL'] ?? '');
    const proxy = await TcpProxy.to({ host: hostname, port: Number(port) });
    const redis = new Redis(proxy.port, '127.0.0.1', CONNECTION);
    redis.on('error', () => {});
    const { limit, blockMs, timeoutMs, budgetMs, permitMs } = this.world;
    const policy = { policy: 'count-then-block', limit, blockMs, startsAt: 'last-accept' } as const;
    const events: Pod['events'] = [];
    const quota = new ProviderQuota(new QuotaStore(redis), {
      provider: this.provider,
      podId: randomBytes(6).toString('hex'),
      policy,
      whenForgotten: 'blocked',
      timeoutMs,
      budgetMs,
      permitMs,
      onEvent: ({ event }) => events.push(event),
    });
    const reasons = { asked: 0, handedOut: 0, settled: 0, reads: 0, connections: 0 };
    redis.on('ready', () => (reasons.connections += 1));
    const pod = { quota, redis, proxy, held: [], events, waiting: 0, reasons, refusedEpoch: 0 };
    this.pods.push(pod);
    await this.isConnected(pod);
  }

  private async finish(): Promise<void> {
    await this.areAnswered();
    for (const { proxy } of this.pods) proxy.releaseReplies();
    for (const pod of this.pods) await this.isConnected(pod);
    await this.areAnswered();
    for (const pod of this.pods) while (pod.held.length > 0) this.settle(pod, { outcome: 'accepted' });
    this.observed.throwIfViolated();
    await this.isNoSlotLost();
    for (const pod of this.pods) this.checkTrips(pod);
    for (const pod of this.pods) await this.close(pod);
    await this.isAllDelivered();
    await this.isNoSlotLost();
    for (const pod of this.pods) this.checkEvents(pod);
    this.observed.throwIfViolated();
  }

  private get canPrefetch(): boolean {
    return this.world.limit > PREFETCH.from;
  }

  private async isNoSlotLost(): Promise<void> {
    const prefetched = this.canPrefetch ? PREFETCH.max : 0;
    const untaken = this.pods.reduce((sum, { reasons }) => sum + reasons.asked - reasons.handedOut + prefetched, 0);
    await this.until(async () => {
      const { epoch, granted, refunded, blockedUntilMs } = await this.counts();
      const { accepted, unknown, refused, returned } = this.observed.of(epoch);
      const lost = granted - refunded - accepted - unknown - refused;
      invariant(granted - refunded <= this.world.limit, 'Redis counts no more than the limit');
      // During a block no slot returns: the provider is closed.
      return lost >= 0 && lost <= (blockedUntilMs > 0 ? returned + untaken : 0);
    }, 'no slot is lost: each used one was accepted, refused or is unknown');
  }

  private async isAllDelivered(): Promise<void> {
    const { epoch, granted, refunded, accepted, refused, unknown, blockedUntilMs } = await this.counts();
    invariant(granted - refunded === accepted + refused + unknown, 'closing delivers the last settlements');
    const seen = this.observed.of(epoch);
    const isExact = accepted === seen.accepted && refused === seen.refused && unknown === seen.unknown;
    invariant(blockedUntilMs > 0 || isExact, 'each settlement counts once');
  }

  private checkTrips({ quota, reasons }: Pod): void {
    const { asked, handedOut, settled, reads, connections } = reasons;
    // The pod itself returns spare and prefetched permits. Each broken connection costs a retry.
    const returned = this.canPrefetch ? asked : asked - handedOut;
    const most = asked + settled + returned + reads + 2 * connections;
    invariant(quota.trips <= most, 'no trip without a reason');
  }

  private checkEvents({ events }: Pod): void {
    const store = events.filter((event) => event === 'store lost' || event === 'store back');
    const alternate = store.every((event, index) => event === (index % 2 === 0 ? 'store lost' : 'store back'));
    invariant(alternate, 'one event when the store is lost and one when it is back');
  }

  private async counts(): Promise<Record<(typeof COUNTS)[number], number>> {
    const values = (await this.direct.hmget(quotaKey(this.provider), ...COUNTS)).map(Number);
    const entries = COUNTS.map((name, index) => [name, values[index] ?? 0]);
    return Object.fromEntries(entries) as Record<(typeof COUNTS)[number], number>;
  }

  private async until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
    const endMs = performance.now() + this.patienceMs;
    while (!(await condition())) {
      invariant(performance.now() < endMs, what);
      await this.pass(2);
    }
  }

  private async tearDown(): Promise<void> {
    for (const { redis } of this.pods) redis.disconnect();
    // Stops the timers of a pod that a violation left open.
    for (const { quota } of this.pods) await quota.close();
    await Promise.all(this.pods.map(({ proxy }) => proxy.close()));
    await this.direct.del(quotaKey(this.provider));
    await this.direct.quit();
  }
}
