import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { limitOf } from '#quota';
import { hasRedisServer, KEEP_EVERY_WRITE, RedisServer } from '../../engines/redis-server.js';
import { type Account, provision } from '../../testbed/limiters.js';
import { setFaults, statsAt } from '../../testbed/octo.js';
import { ManagedProcess } from '../../../tools/stack/managed-process.js';
import { seededRandom } from '../seeded-random.js';
import { arrivalsOf } from './arrivals.js';
import { clairvoyantAccepts } from './clairvoyant.js';
import { FAULTS } from './faults.js';
import { type ForeignRequest, sendForeign } from './foreign-client.js';
import { PodProcess } from './pod-process.js';
import type { PodOrder } from './pod-protocol.js';
import { admissionOf, providerEnv } from './provider-policy.js';
import { windowsOf } from './provider-windows.js';
import type { RunLog } from './run-log.js';
import { OTHER_LIMITS, policyOf, providerLimitsOf, type Scenario, TOKENS, unitOf } from './scenarios.js';

export interface Timing {
  seed: number;
  timeoutMs: number;
  budgetMs: number;
}

const PROVIDER = 'free';
const HEAD_START_MS = 300;

/** One scenario with a Redis, a free provider and pods of its own: started, run once, stopped. */
export class ScenarioRun {
  private redis: RedisServer | undefined;
  private provider: ManagedProcess | undefined;
  private pods: PodProcess[] = [];
  private providerOrigin = '';

  constructor(
    readonly scenario: Scenario,
    private readonly timing: Timing,
  ) {}

  /** Resolves when every pod waits for its start. */
  async start(): Promise<void> {
    const { scenario } = this;
    const entry = join(import.meta.dirname, '../../../bin/free-provider.js');
    const env = { ...providerEnv(providerLimitsOf(scenario)), PORT: '0' };
    this.provider = new ManagedProcess({ name: 'free-provider', entry, env, onLine: () => {} });
    const [redis] = await Promise.all([startRedis(FAULTS[scenario.fault]), this.provider.start()]);
    this.redis = redis;
    this.providerOrigin = (this.provider.readyMessage as { url: string }).url;
    await provision(redis.url, this.account);
    if (scenario.latencyMs > 0) await setFaults(this.providerOrigin, { latencyMs: scenario.latencyMs });
    this.pods = await Promise.all(this.ordersOf(redis.url).map((order) => PodProcess.start(order)));
  }

  /** From the first message to the last answer. */
  async run(): Promise<RunLog> {
    const startAtMs = instantMs() + HEAD_START_MS;
    const running = Promise.all(this.pods.map((pod) => pod.run({ startAtMs })));
    const foreign: ForeignRequest[] = [];
    const fault = await this.injectFault(startAtMs, foreign);
    await running;
    const stats = await statsAt(this.providerOrigin);
    const pods = this.pods.map(({ records, summary, wasPaused }) => ({
      records,
      trips: summary?.trips ?? records.at(-1)?.trips,
      stallMs: summary?.stallMs ?? 0,
      wasPaused,
    }));
    return {
      pods,
      provider: { ...stats, windows: windowsOf(stats), counts: stats.windows.map((window) => window.accepted) },
      foreign,
      fault,
    };
  }

  async stop(): Promise<void> {
    await Promise.all(this.pods.map((pod) => pod.stop()));
    await Promise.all([this.redis?.remove(), this.provider?.stop()]);
  }

  private get account(): Account {
    const others = OTHER_LIMITS[this.scenario.others];
    const policy = policyOf(this.scenario);
    return { provider: PROVIDER, policy, unit: unitOf(this.scenario), others, timeoutMs: this.timing.timeoutMs };
  }

  private ordersOf(redisUrl: string): PodOrder[] {
    const { pods, limiter } = this.scenario;
    const setup = { ...this.timing, ...this.account, redisUrl, pods };
    const arrivals = this.messages();
    return Array.from({ length: pods }, (_, pod) => ({
      limiter,
      setup,
      providerUrl: `${this.providerOrigin}/messages`,
      arrivals: arrivals.filter((_arrival, position) => position % pods === pod),
    }));
  }

  private messages(): PodOrder['arrivals'] {
    const { estimate } = this.scenario;
    const random = seededRandom(this.timing.seed);
    return this.arrivals().map((atMs) => {
      const id = randomBytes(8).toString('hex');
      if (estimate === undefined) return { id, atMs };
      const used = Math.round(TOKENS.min + random() * (TOKENS.max - TOKENS.min));
      return { id, atMs, tokens: { used, estimated: Math.round(used * estimate) } };
    });
  }

  private arrivals(): number[] {
    const { load, durationMs, perSecond } = this.scenario;
    return arrivalsOf(load, { durationMs, perSecond, seed: this.timing.seed });
  }

  /** In the middle of the second window, as far as that can be foreseen: the pods need permits then. */
  private async injectFault(startAtMs: number, foreign: ForeignRequest[]): Promise<RunLog['fault']> {
    const [victim] = this.pods;
    const { redis, scenario } = this;
    if (scenario.fault === 'none' || victim === undefined || redis === undefined) return undefined;
    const policy = policyOf(scenario);
    const arrivals = this.arrivals().map((atMs) => ({ atMs: startAtMs + atMs }));
    const accepted = clairvoyantAccepts(admissionOf(providerLimitsOf(scenario)), arrivals);
    const injectAtMs = accepted[Math.round(limitOf(policy) * 1.5)]?.atMs ?? startAtMs;
    await delay(injectAtMs - instantMs());
    const beganMs = instantMs();
    await FAULTS[scenario.fault].inject({
      victim,
      redis,
      setProviderFaults: (faults) => setFaults(this.providerOrigin, faults),
      sendForeign: async (durationMs) => {
        const { seed } = this.timing;
        foreign.push(...(await sendForeign(`${this.providerOrigin}/messages`, { durationMs, seed })));
      },
    });
    return { beganMs, endedMs: instantMs() };
  }
}

/** Without a redis-server on this machine the embedded engine serves all faults that do not need saved data. */
function startRedis({ keepsData }: { keepsData: boolean }): Promise<RedisServer> {
  if (!hasRedisServer()) return RedisServer.start('embedded');
  return RedisServer.start('redis-server', ...(keepsData ? KEEP_EVERY_WRITE : []));
}

/** In ms since 1970, by a monotonic clock. */
function instantMs(): number {
  return performance.timeOrigin + performance.now();
}
