import { setTimeout as delay } from 'node:timers/promises';
import { type Faults, faultsSchema } from '#contracts';
import type { ForeignClient } from './foreign-client.js';
import type { PodProcess } from './pod-process.js';
import type { RedisKind, RedisServer } from '../engines/redis-server.js';

/** What a fault may be done to. */
export interface Site {
  /** The pod that suffers, if one does. */
  victim: PodProcess;
  redis: RedisServer;
  foreign: ForeignClient;
  setProviderFaults: (faults: Partial<Faults>) => Promise<void>;
}

export interface Fault {
  /** What is done until it is over. */
  cause: (site: Site) => Promise<void>;
  /** Why free sends may be missing, in one short phrase. */
  cost: string;
  redis: RedisKind;
  /** Unknown episodes it makes besides the sends whose outcome a pod could not tell. */
  episodes: number;
  /** The count is gone. */
  isForgetting: boolean;
  /** Somebody else uses the quota: what is refused is of their making. */
  isForeign: boolean;
  /** Redis is gone: no permits, and so no free sends. */
  isOutage: boolean;
}

const FAULT: Omit<Fault, 'cause' | 'cost'> = {
  redis: 'forgetting',
  episodes: 0,
  isForgetting: false,
  isForeign: false,
  isOutage: false,
};

/** A slow answer keeps permits in hand at the moment something happens to their pod. */
const IN_HAND = { latencyMs: 200 };
const IN_HAND_MS = 150;
const TROUBLE_MS = 4_000;

export const FAULTS = {
  none: { ...FAULT, cause: () => Promise.resolve(), cost: '' },
  'pod killed': {
    ...FAULT,
    episodes: 1,
    cost: 'what it held counts as used; its window ends when those permits run out',
    cause: (site) => withPermitsInHand(site, () => Promise.resolve(site.victim.kill())),
  },
  'pod paused 2 s': {
    ...FAULT,
    episodes: 1,
    cost: 'what it held counts as used; its window ends when those permits run out',
    cause: async (site) => {
      await withPermitsInHand(site, () => Promise.resolve(site.victim.pause()));
      await delay(2_000);
      site.victim.resume();
    },
  },
  'Redis restarted with data': {
    ...FAULT,
    redis: 'keeping',
    cost: 'no permits while it is away',
    cause: ({ redis }) => restart(redis, 0),
  },
  'Redis restarted empty': {
    ...FAULT,
    isForgetting: true,
    cost: 'nobody knows what was used: blocked for T and the life of permits',
    cause: ({ redis }) => restart(redis, 0),
  },
  'Redis paused 1.5 s': {
    ...FAULT,
    cost: 'no permits while it stands still',
    cause: async ({ redis }) => {
      redis.pause();
      await delay(1_500);
      redis.resume();
    },
  },
  'Redis stopped 20 s': {
    ...FAULT,
    redis: 'keeping',
    isOutage: true,
    cost: 'no permits while it is away',
    cause: ({ redis }) => restart(redis, 20_000),
  },
  'slow provider': {
    ...FAULT,
    cost: 'a window ends with its last answer, which came 200 ms later',
    cause: (site) => withProvider(site, { latencyMs: 200 }),
  },
  'lost replies': {
    ...FAULT,
    cost: 'what may have been counted is taken for counted',
    cause: (site) => withProvider(site, { loseReplyRate: 0.1 }),
  },
  'foreign, announced': { ...FAULT, isForeign: true, cost: 'others took slots', cause: shareWithOthers },
  'foreign, unannounced': { ...FAULT, isForeign: true, cost: 'others took slots', cause: shareWithOthers },
} as const satisfies Record<string, Fault>;
export type FaultName = keyof typeof FAULTS;

async function withPermitsInHand(
  { setProviderFaults }: Pick<Site, 'setProviderFaults'>,
  strike: () => Promise<void>,
): Promise<void> {
  await setProviderFaults(IN_HAND);
  await delay(IN_HAND_MS);
  await strike();
  await setProviderFaults({});
}

async function restart(redis: RedisServer, awayMs: number): Promise<void> {
  await redis.crash();
  await delay(awayMs);
  await redis.startAgain();
}

async function withProvider({ setProviderFaults }: Site, faults: Partial<Faults>): Promise<void> {
  await setProviderFaults(faults);
  await delay(TROUBLE_MS);
  await setProviderFaults({});
}

async function shareWithOthers({ foreign }: Site): Promise<void> {
  foreign.start();
  await delay(TROUBLE_MS);
  await foreign.stop();
}

/** Puts trouble of the given kind in force at a reference provider; what is not given is off. */
export async function putFaults(origin: string, faults: Partial<Faults>): Promise<void> {
  const body = JSON.stringify(faultsSchema.parse(faults));
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(new URL('/faults', origin), { method: 'PUT', headers, body });
  if (!answer.ok) throw new Error(`the provider did not take its faults: ${answer.status}`);
}
