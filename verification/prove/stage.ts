import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { providerStatsSchema } from '#contracts';
import { Quota } from '#quota';
import { ManagedProcess } from '../../tools/stack/managed-process.js';
import { arrivalsOf } from './arrivals.js';
import { clairvoyantAccepts } from './clairvoyant.js';
import { FAULTS, putFaults } from './faults.js';
import { ForeignClient } from './foreign-client.js';
import { PodProcess } from './pod-process.js';
import { admissionOf, providerEnv } from './provider-policy.js';
import { limitOf } from '#quota';
import { RedisServer } from '../engines/redis-server.js';
import type { PodLog, RunLog } from './run-log.js';
import { policyOf, type Scenario } from './scenarios.js';
import { spellsOf } from './spells.js';

export interface Timing {
  seed: number;
  timeoutMs: number;
  budgetMs: number;
}

const PROVIDER = 'free';
const HEAD_START_MS = 300;
const FOREIGN_PER_SECOND = 10;

/** Everything one scenario needs, in processes of its own: started, run once, stopped. */
export class Stage {
  private redis: RedisServer | undefined;
  private provider: ManagedProcess | undefined;
  private pods: PodProcess[] = [];
  /** Of the provider. */
  private origin = '';

  constructor(
    readonly scenario: Scenario,
    private readonly timing: Timing,
  ) {}

  /** Resolves when every process waits for the start. */
  async start(): Promise<void> {
    const { scenario } = this;
    const entry = join(import.meta.dirname, '../../apps/free-provider/src/main.js');
    const env = { ...providerEnv(policyOf(scenario), scenario), PORT: '0' };
    this.provider = new ManagedProcess({ name: 'free-provider', entry, env, onLine: () => {} });
    const [redis] = await Promise.all([RedisServer.start(FAULTS[scenario.fault].redis), this.provider.start()]);
    this.redis = redis;
    this.origin = (this.provider.readyMessage as { url: string }).url;
    await provision(redis.url);
    if (scenario.latencyMs > 0) await putFaults(this.origin, { latencyMs: scenario.latencyMs });
    this.pods = await Promise.all(this.ordersOf(redis.url).map((order) => PodProcess.start(order)));
  }

  /** From the first message to the last answer. */
  async run(): Promise<RunLog> {
    const startAtMs = performance.timeOrigin + performance.now() + HEAD_START_MS;
    const running = Promise.all(this.pods.map((pod) => pod.run({ startAtMs })));
    const { seed } = this.timing;
    const foreign = new ForeignClient(`${this.origin}/messages`, { perSecond: FOREIGN_PER_SECOND, seed });
    const fault = await this.strike(startAtMs, foreign);
    await running;
    const answer = await fetch(new URL('/stats', this.origin));
    const stats = providerStatsSchema.parse(await answer.json());
    const { accepted, refused } = stats;
    const pods = this.pods.map((pod) => logOf(pod, startAtMs));
    return { pods, provider: { accepted, refused, spells: spellsOf(stats) }, foreign: foreign.requests, fault };
  }

  async stop(): Promise<void> {
    await Promise.all(this.pods.map((pod) => pod.stop()));
    await Promise.all([this.redis?.stop(), this.provider?.stop()]);
  }

  private ordersOf(redisUrl: string): PodProcess['order'][] {
    const { pods, strategy, atOnce } = this.scenario;
    const setup = { ...this.timing, redisUrl, provider: PROVIDER, policy: policyOf(this.scenario), pods };
    const arrivals = this.arrivals();
    return Array.from({ length: pods }, (_, pod) => ({
      strategy,
      setup,
      providerUrl: `${this.origin}/messages`,
      atOnce,
      arrivals: arrivals
        .filter((_arrival, position) => position % pods === pod)
        .map((atMs) => ({ id: randomBytes(8).toString('hex'), atMs })),
    }));
  }

  private arrivals(): number[] {
    const { load, durationMs, perSecond } = this.scenario;
    return arrivalsOf(load, { durationMs, perSecond, seed: this.timing.seed });
  }

  /** In the middle of the second window, as far as that can be foreseen: permits are wanted then. */
  private async strike(startAtMs: number, foreign: ForeignClient): Promise<RunLog['fault']> {
    const [victim] = this.pods;
    const { redis, scenario } = this;
    if (scenario.fault === 'none' || victim === undefined || redis === undefined) return undefined;
    const policy = policyOf(scenario);
    const arrivals = this.arrivals().map((atMs) => ({ atMs: startAtMs + atMs }));
    const accepted = clairvoyantAccepts(admissionOf(policy), arrivals);
    const strikeAtMs = accepted[Math.round(limitOf(policy) * 1.5)]?.atMs ?? startAtMs;
    await delay(strikeAtMs - instantMs());
    const beganMs = instantMs();
    const setProviderFaults = putFaults.bind(undefined, this.origin);
    await FAULTS[scenario.fault].cause({ victim, redis, foreign, setProviderFaults });
    return { beganMs, endedMs: instantMs() };
  }
}

/** The provider is known before the first message: a count that is missing later was lost. */
async function provision(redisUrl: string): Promise<void> {
  const redis = new Redis(redisUrl);
  await new Quota({ redis, providers: [] }).provision(PROVIDER);
  await redis.quit();
}

function logOf({ order, records, summary, killedAtMs, wasPaused }: PodProcess, startAtMs: number): PodLog {
  return {
    arrivals: order.arrivals.map(({ id, atMs }) => ({ id, atMs: startAtMs + atMs })),
    records,
    trips: summary?.trips ?? records.at(-1)?.trips,
    tripsWhileBlocked: summary?.tripsWhileBlocked ?? 0,
    stallMs: summary?.stallMs ?? 0,
    killedAtMs,
    wasPaused,
  };
}

/** In ms since 1970, by a clock that never goes back. */
function instantMs(): number {
  return performance.timeOrigin + performance.now();
}
