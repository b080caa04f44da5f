import { setTimeout as delay } from 'node:timers/promises';
import type { Faults } from '#contracts';
import type { RedisServer } from '../../engines/redis-server.js';
import type { PodProcess } from './pod-process.js';

/** What a fault can hit. */
export interface Targets {
  victim: PodProcess;
  redis: RedisServer;
  sendForeign: (durationMs: number) => Promise<void>;
  setProviderFaults: (faults: Partial<Faults>) => Promise<void>;
}

export interface Fault {
  /** Resolves when the fault is over. */
  inject: (targets: Targets) => Promise<void>;
  /** Redis must come back with its data. */
  keepsData: boolean;
  /** A pod holds permits whose outcome no other pod learns. */
  losesPod: boolean;
  /** Redis loses the count. */
  losesCount: boolean;
  /** Another client uses the quota: it causes refusals. */
  isForeign: boolean;
  /** Redis is away for so long that no permit is left. */
  isOutage: boolean;
}

const FAULT: Omit<Fault, 'inject'> = {
  keepsData: false,
  losesPod: false,
  losesCount: false,
  isForeign: false,
  isOutage: false,
};

/** With slow answers a pod has permits in flight when the fault hits it. */
const IN_FLIGHT = { latencyMs: 200 };
const IN_FLIGHT_MS = 150;
const DURATION_MS = 4_000;

export const FAULTS = {
  none: { ...FAULT, inject: () => Promise.resolve() },
  'pod killed': {
    ...FAULT,
    losesPod: true,
    inject: (targets) => whileInFlight(targets, () => targets.victim.signal('SIGKILL')),
  },
  'pod paused 2 s': {
    ...FAULT,
    losesPod: true,
    inject: async (targets) => {
      await whileInFlight(targets, () => targets.victim.signal('SIGSTOP'));
      await delay(2_000);
      targets.victim.signal('SIGCONT');
    },
  },
  'Redis restarted with data': { ...FAULT, keepsData: true, inject: ({ redis }) => restart(redis, 0) },
  'Redis restarted empty': { ...FAULT, losesCount: true, inject: ({ redis }) => restart(redis, 0) },
  'Redis paused 1.5 s': {
    ...FAULT,
    inject: async ({ redis }) => {
      redis.freeze();
      await delay(1_500);
      redis.thaw();
    },
  },
  'Redis stopped 20 s': { ...FAULT, keepsData: true, isOutage: true, inject: ({ redis }) => restart(redis, 20_000) },
  'slow provider': { ...FAULT, inject: (targets) => withProviderFaults(targets, { latencyMs: 200 }) },
  'lost replies': { ...FAULT, inject: (targets) => withProviderFaults(targets, { loseReplyRate: 0.1 }) },
  'foreign, announced': { ...FAULT, isForeign: true, inject: ({ sendForeign }) => sendForeign(DURATION_MS) },
  'foreign, unannounced': { ...FAULT, isForeign: true, inject: ({ sendForeign }) => sendForeign(DURATION_MS) },
} as const satisfies Record<string, Fault>;
export type FaultName = keyof typeof FAULTS;

async function whileInFlight({ setProviderFaults }: Targets, hit: () => void): Promise<void> {
  await setProviderFaults(IN_FLIGHT);
  await delay(IN_FLIGHT_MS);
  hit();
  await setProviderFaults({});
}

async function restart(redis: RedisServer, awayMs: number): Promise<void> {
  await redis.kill();
  await delay(awayMs);
  await redis.start();
}

async function withProviderFaults({ setProviderFaults }: Targets, faults: Partial<Faults>): Promise<void> {
  await setProviderFaults(faults);
  await delay(DURATION_MS);
  await setProviderFaults({});
}
