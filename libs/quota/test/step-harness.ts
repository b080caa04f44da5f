import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Announcement } from '../src/announcements/announcement.js';
import { quotaKey } from '../src/store/keys.js';
import type { Settlement } from '../src/permit.js';
import type { LimitedPolicy } from '../src/policy.js';
import { QuotaStore, type Sent, STEP_SCRIPTS, type StepReply } from '../src/store/quota-store.js';
import { SettlementBatch } from '../src/store/settlement-batch.js';

export const HOLD_MS = 500;

export interface Settled {
  epoch: number;
  generation?: number;
  settlement: Settlement;
  ageMs?: number;
  /** Milliseconds since it was granted; by default as long as since its answer. */
  grantedAgoMs?: number;
  count?: number;
  /** What the permit took, and what the request used. */
  amount?: number;
  used?: number;
}

interface StepOptions {
  pod?: string;
  seq?: number;
  want?: number;
  settled?: Settled[];
  knownEpoch?: number;
  knownWaitMs?: number;
  recordedSeq?: number;
  server?: string;
  whenForgotten?: 'blocked' | 'fresh';
  policy?: LimitedPolicy;
  windowStartsMs?: readonly number[];
  recalled?: readonly Sent[];
  least?: number;
  countsAmounts?: boolean;
}

/** A new provider on a clock that the test sets. Steps are numbered by pod. */
export async function newProvider(redis: Redis, policy: LimitedPolicy, startsAtMs = 1_000_000, scripts = STEP_SCRIPTS) {
  const provider = `step-${randomBytes(6).toString('hex')}`;
  const store = new QuotaStore(redis, scripts);
  await store.provision(provider);
  const seqs = new Map<string, number>();
  const clock = { ms: startsAtMs };
  const step = ({ pod = 'a', seq, want = 0, settled = [], ...options }: StepOptions = {}): Promise<StepReply> => {
    const number = seq ?? (seqs.get(pod) ?? 0) + 1;
    seqs.set(pod, number);
    return store.step({
      provider,
      policy,
      podId: pod,
      seq: number,
      want,
      holdMs: HOLD_MS,
      whenForgotten: 'blocked',
      knownEpoch: 0,
      knownWaitMs: 0,
      recordedSeq: 0,
      server: '',
      ...options,
      settlements: batchOf(settled, clock.ms),
      nowMs: 10_000,
      serverClockMs: clock.ms,
    });
  };
  return { provider, clock, step, fields: () => redis.hgetall(quotaKey(provider)) };
}

export function accepted(epoch: number, count = 1, announced?: Announcement): Settled {
  return { epoch, settlement: { outcome: 'accepted', announced }, count };
}

export function notSent(epoch: number, count = 1): Settled {
  return { epoch, settlement: { outcome: 'notSent' }, count };
}

export function unknown(epoch: number, count = 1): Settled {
  return { epoch, settlement: { outcome: 'unknown' }, count };
}

export function refused(epoch: number, retryAfterMs?: number): Settled {
  return {
    epoch,
    settlement: { outcome: 'refused', announced: retryAfterMs === undefined ? undefined : { retryAfterMs } },
  };
}

function batchOf(settled: Settled[], clockMs: number): SettlementBatch {
  const batch = new SettlementBatch(1);
  for (const { epoch, generation = 0, settlement, ageMs = 0, grantedAgoMs = ageMs, count = 1, ...rest } of settled) {
    const { amount = 1, used } = rest;
    const permit = { epoch, generation, grantedAtMs: clockMs - grantedAgoMs, amount };
    for (let i = 0; i < count; i += 1) {
      batch.add({ permit, settlement, used, nowMs: 10_000 - ageMs });
    }
  }
  return batch;
}
