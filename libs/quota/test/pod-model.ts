import { randomBytes } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { TcpProxy } from '../../../test/support/tcp-proxy.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { quotaKey } from '../src/store/keys.js';
import type { Permit, QuotaEvent, Reservation, Settlement } from '../src/permit.js';
import { guardMs } from '../src/policy.js';
import { QUOTA_REDIS_OPTIONS } from '../src/store/quota-redis.js';
import type { Quota } from '../src/quota.js';
import { promise } from './broken-promise.js';
import { SeenEpochs, STALL_MS } from './seen-epochs.js';

/** What milliseconds may add when two clocks round them. */
const ROUNDING_MS = 5;
/** Silence breaks no connection: whoever is left waiting is left waiting for good. */
const CONNECTION = { ...QUOTA_REDIS_OPTIONS, socketTimeout: 60_000 };
/** As many permits a pod may hold that it took ahead, of a quota of more than so many. */
const AHEAD = { max: 32, from: 1_000 };
const COUNTS = ['epoch', 'granted', 'refunded', 'accepted', 'refused', 'unknown', 'blockedUntilMs'] as const;

export interface World {
  pods: number;
  limit: number;
  blockMs: number;
  permitMs: number;
  timeoutMs: number;
  budgetMs: number;
}

/** Patient pods far from their limit: whoever needs another world says so. */
export const CALM: World = {
  pods: 1,
  limit: 1_000,
  blockMs: 60_000,
  permitMs: 20_000,
  timeoutMs: 20_000,
  budgetMs: 20_000,
};

export interface Pod {
  quota: Quota;
  redis: Redis;
  proxy: TcpProxy;
  held: Permit[];
  events: QuotaEvent['event'][];
  /** Reservations that nobody has answered yet. */
  waiting: number;
  /** All that can be a reason for a trip. */
  reasons: { asked: number; handedOut: number; settled: number; looks: number; connections: number };
  /** The last epoch in which it saw the provider refuse. */
  refusedEpoch: number;
}

/** Drives real pods on a real Redis through connections that may break; throws at the first broken promise. */
export class PodModel {
  readonly pods: Pod[] = [];

  private readonly provider = `pod-${randomBytes(6).toString('hex')}`;
  private readonly direct = new Redis(process.env['TEST_REDIS_URL'] ?? '');
  private readonly seen: SeenEpochs;

  private constructor(
    private readonly world: World,
    private readonly Engine: typeof Quota,
    /** How long to wait for what is promised: long, or short where it is known not to come. */
    private readonly patienceMs: number,
  ) {
    this.seen = new SeenEpochs(world);
  }

  /** Plays on pods of this world, then ends it: everything settled, whatever was broken whole again. */
  static async run(
    play: (model: PodModel) => Promise<void>,
    { world, engine, patienceMs = 20_000 }: { world: Partial<World>; engine: typeof Quota; patienceMs?: number },
  ): Promise<void> {
    const model = new PodModel({ ...CALM, ...world }, engine, patienceMs);
    try {
      for (let i = 0; i < model.world.pods; i += 1) await model.addPod();
      await model.pods[0]?.quota.provision(model.provider);
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

  /** Asks; permits that come are held. */
  async reserve(pod: Pod): Promise<Reservation> {
    pod.reasons.asked += 1;
    pod.waiting += 1;
    const reservation = await pod.quota.reserve(this.provider);
    pod.waiting -= 1;
    if (reservation.granted) {
      pod.held.push(reservation.permit);
      pod.reasons.handedOut += 1;
      this.seen.noteGranted(reservation.permit, pod.refusedEpoch);
    }
    return reservation;
  }

  /** So many at once. */
  async reserveMany(pod: Pod, count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.reserve(pod)));
  }

  /** Asks for a permit that Redis grants and the pod does not hear of. */
  async grantUnheard(pod: Pod): Promise<void> {
    pod.proxy.holdReplies();
    void this.reserve(pod);
    await this.isStored('granted', (granted) => granted === 1, 'Redis grants a permit');
  }

  /** Asks until the pod, the only one, has permits that it took ahead. */
  async untilAhead(pod: Pod): Promise<void> {
    const inHand = async (): Promise<number> => {
      const { granted, refunded } = await this.counts();
      return granted - refunded;
    };
    do await this.reserve(pod);
    while ((await inHand()) === pod.reasons.handedOut);
  }

  /** As a sender does: at once, or not at all when the permit has run out. */
  settle(pod: Pod, settlement: Settlement, { times = 1 } = {}): void {
    const permit = pod.held.shift();
    if (permit === undefined) return;
    const became: Settlement = performance.now() < permit.sendByMs ? settlement : { outcome: 'notSent' };
    this.seen.noteSettled(permit, became);
    if (became.outcome === 'refused') pod.refusedEpoch = Math.max(pod.refusedEpoch, permit.epoch);
    pod.reasons.settled += 1;
    for (let told = 0; told < times; told += 1) pod.quota.settle(permit, became);
  }

  /** Until the event loop has gone round: what was asked for has been sent, and no reply read that is held. */
  async turn(): Promise<number> {
    await nextTurn();
    return performance.now();
  }

  async pass(ms: number): Promise<void> {
    const endMs = performance.now() + ms;
    await waitUntil(() => performance.now() >= endMs, { what: 'time passes', everyMs: Math.min(ms, 10) });
  }

  /** Its connection works, and it has read all that was answered before. */
  async isConnected({ redis }: Pod): Promise<void> {
    const isAnswered = (): Promise<boolean> => redis.ping().then(Boolean, () => false);
    await waitUntil(isAnswered, { what: 'a pod is connected', everyMs: 2 });
    await this.turn();
  }

  async areAnswered(pods = this.pods): Promise<void> {
    await this.until(() => pods.every(({ waiting }) => waiting === 0), 'every reservation is answered');
  }

  /** Whatever Redis says, whoever else asks it. */
  async isStored(field: (typeof COUNTS)[number], isSo: (value: number) => boolean, what: string): Promise<void> {
    await this.until(async () => isSo((await this.counts())[field]), what);
  }

  /** What a pod remembers of the block that its last answer began. */
  async isRemembered(pod: Pod): Promise<void> {
    const tripsBefore = pod.quota.trips;
    const reservation = await this.reserve(pod);
    this.isToldOfBlock(reservation);
    promise(pod.quota.trips === tripsBefore, 'a pod that knows of a block asks nobody');
  }

  /** Whoever was just answered: for how long the block that the last answer began lasts from now on. */
  isToldOfBlock(reservation: Reservation): void {
    const nowMs = performance.now();
    promise(!reservation.granted && reservation.reason === 'blocked', 'a blocked quota grants nothing');
    if (reservation.granted || reservation.reason !== 'blocked') return;
    const { blockMs } = this.world;
    const opensMs = this.seen.lastAnswerMs + blockMs;
    // Counted from when the pod asked: as much early as its question was on its way.
    promise(nowMs + reservation.waitMs >= opensMs - STALL_MS, 'a block lasts from the last answer on');
    const latestMs = opensMs + guardMs(blockMs) + STALL_MS + ROUNDING_MS;
    promise(nowMs + reservation.waitMs <= latestMs, 'a block is remembered no longer than it lasts');
  }

  /** How it stands, which is no reason for anything. */
  look(pod: Pod): void {
    pod.reasons.looks += 1;
    void pod.quota.state(this.provider);
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
    const quota = new this.Engine({
      redis,
      providers: [{ name: this.provider, policy, timeoutMs }],
      budgetMs,
      permitMs,
      onEvent: ({ event }) => events.push(event),
    });
    const reasons = { asked: 0, handedOut: 0, settled: 0, looks: 0, connections: 0 };
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
    this.seen.throwIfBroken();
    await this.isNoSlotLost();
    for (const pod of this.pods) this.checkTrips(pod);
    for (const pod of this.pods) await this.close(pod);
    await this.isAllDelivered();
    await this.isNoSlotLost();
    for (const pod of this.pods) this.checkEvents(pod);
    this.seen.throwIfBroken();
  }

  private get takesAhead(): boolean {
    return this.world.limit > AHEAD.from;
  }

  private async isNoSlotLost(): Promise<void> {
    const ahead = this.takesAhead ? AHEAD.max : 0;
    const untaken = this.pods.reduce((sum, { reasons }) => sum + reasons.asked - reasons.handedOut + ahead, 0);
    await this.until(async () => {
      const { epoch, granted, refunded, blockedUntilMs } = await this.counts();
      const { accepted, unknown, refused, givenBack } = this.seen.of(epoch);
      const lost = granted - refunded - accepted - unknown - refused;
      promise(granted - refunded <= this.world.limit, 'Redis counts no more than the limit');
      // Once a block has begun no slot comes back: a provider that is closed has no use for it.
      return lost >= 0 && lost <= (blockedUntilMs > 0 ? givenBack + untaken : 0);
    }, 'no slot is lost: what is used was accepted, refused or is unknown');
  }

  private async isAllDelivered(): Promise<void> {
    const { epoch, granted, refunded, accepted, refused, unknown, blockedUntilMs } = await this.counts();
    promise(granted - refunded === accepted + refused + unknown, 'closing delivers the last settlements');
    const seen = this.seen.of(epoch);
    const isExact = accepted === seen.accepted && refused === seen.refused && unknown === seen.unknown;
    promise(blockedUntilMs > 0 || isExact, 'everything settled counts once');
  }

  private checkTrips({ quota, reasons }: Pod): void {
    const { asked, handedOut, settled, looks, connections } = reasons;
    // Permits nobody took are settled by the pod itself, and so are those each step may have taken ahead; a connection
    // that breaks costs a repetition.
    const givenBack = this.takesAhead ? asked : asked - handedOut;
    const most = asked + settled + givenBack + looks + 2 * connections;
    promise(quota.trips <= most, 'no trip without a reason');
  }

  private checkEvents({ events }: Pod): void {
    const told = events.filter((event) => event === 'store lost' || event === 'store back');
    const alternate = told.every((event, index) => event === (index % 2 === 0 ? 'store lost' : 'store back'));
    promise(alternate, 'a store is told of once when lost and once when back');
  }

  private async counts(): Promise<Record<(typeof COUNTS)[number], number>> {
    const values = (await this.direct.hmget(quotaKey(this.provider), ...COUNTS)).map(Number);
    const entries = COUNTS.map((name, index) => [name, values[index] ?? 0]);
    return Object.fromEntries(entries) as Record<(typeof COUNTS)[number], number>;
  }

  private async until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
    const endMs = performance.now() + this.patienceMs;
    while (!(await condition())) {
      promise(performance.now() < endMs, what);
      await this.pass(2);
    }
  }

  private async tearDown(): Promise<void> {
    for (const { redis } of this.pods) redis.disconnect();
    await Promise.all(this.pods.map(({ proxy }) => proxy.close()));
    await this.direct.del(quotaKey(this.provider));
    await this.direct.quit();
  }
}
