import { readFileSync } from 'node:fs';
import { Cluster } from 'ioredis';
import type { RedisConnection } from '#redis';
import { quotaKey } from './keys.js';
import { guardMs, type LimitedPolicy, periodMsOf } from '../policy.js';
import type { SettlementBatch } from './settlement-batch.js';

export type PolicyName = LimitedPolicy['policy'];
const POLICY_NAMES = ['count-then-block', 'fixed-window', 'sliding-window', 'token-bucket'] as const;
const STATES = ['open', 'spent', 'blocked'] as const;
const EVENTS = [undefined, 'blocked', 'reopened', 'forgotten'] as const;

export type WhenForgotten = 'blocked' | 'fresh';

export interface StepRequest {
  provider: string;
  policy: LimitedPolicy;
  podId: string;
  /** Of this pod's steps for this provider; a step sent again keeps its number and is applied once. */
  seq: number;
  want: number;
  /** An unsettled permit counts as unknown this long after it was granted. */
  holdMs: number;
  whenForgotten: WhenForgotten;
  knownEpoch: number;
  /** How long this pod remembers the quota to stay blocked; 0: not at all. */
  knownWaitMs: number;
  /** Number of the last step known to be in the hash; 0: none. */
  recordedSeq: number;
  settlements: SettlementBatch;
  /** Monotonic clock of this pod. */
  nowMs: number;
  /** For tests: replaces the run id of the Redis server. */
  server?: string | undefined;
  /** For tests: replaces the clock of the Redis server. */
  serverClockMs?: number | undefined;
}

export interface StepReply {
  granted: number;
  epoch: number;
  generation: number;
  state: (typeof STATES)[number];
  waitMs: number;
  used: number;
  limit: number;
  event: (typeof EVENTS)[number];
  isRecorded: boolean;
  foreign: number;
  /** When, by the store's clock: settlements bring it back. */
  grantedAtMs: number;
}

/** One script for each policy: step.lua with the policy's file in it. */
export type StepScripts = Readonly<Record<PolicyName, string>>;

export const STEP_SCRIPTS = Object.fromEntries(
  POLICY_NAMES.map((name) => [name, readLua('step').replace('--@policy\n', () => readLua(name))]),
) as StepScripts;

type Steps = Record<string, (key: string, ...args: (string | number)[]) => Promise<number[]>>;

/** The quotas' place in Redis: one script for each policy, one hash for each provider. */
export class QuotaStore {
  private readonly connectedListeners: (() => void)[] = [];
  /** Its run id. */
  private server = '';
  /** The connection was lost, and nobody has asked yet whether it leads to the same server again. */
  private isElsewhere = false;

  /** `scripts` are for tests that break them on purpose. */
  constructor(
    private readonly redis: RedisConnection,
    scripts = STEP_SCRIPTS,
  ) {
    // Names of our own: other scripts may be defined on a connection that is shared.
    for (const name of POLICY_NAMES) redis.defineCommand(commandOf(name), { numberOfKeys: 1, lua: scripts[name] });
  }

  /** False while a step could only fail, or it is not known yet which server would take it. */
  get isConnected(): boolean {
    return this.redis.status === 'ready' && !this.isElsewhere;
  }

  /** Calls back when the connection is made, and again after each interruption. */
  onConnected(listener: () => void): void {
    this.connectedListeners.push(listener);
    // One for all providers: emitters take more than ten for a leak.
    if (this.connectedListeners.length > 1) return;
    this.redis.on('close', () => {
      this.isElsewhere = true;
    });
    this.redis.on('ready', () => void this.arrive());
    if (this.redis.status === 'ready') void this.identify();
  }

  private async arrive(): Promise<void> {
    await this.identify();
    this.isElsewhere = false;
    for (const listener of this.connectedListeners) listener();
  }

  /** Learns which server answers. Nodes of a cluster are servers of their own: of them nothing is said. */
  private async identify(): Promise<void> {
    try {
      const about = this.redis instanceof Cluster ? '' : await this.redis.info('server');
      this.server = /^run_id:(\w+)/m.exec(about)?.[1] ?? '';
    } catch {
      // Not allowed to ask, or gone again: its count is taken as it is.
      this.server = '';
    }
  }

  /** @throws when Redis cannot be reached or refuses; whether the step was applied is then unknown. */
  async step(request: StepRequest): Promise<StepReply> {
    const { policy } = request;
    const command = (this.redis as unknown as Steps)[commandOf(policy.policy)];
    if (command === undefined) throw new TypeError('the connection lost its commands');
    const reply = await command.call(
      this.redis,
      quotaKey(request.provider),
      request.serverClockMs ?? '',
      request.podId,
      request.seq,
      request.want,
      kindOf(policy),
      ...policyArguments(policy),
      request.holdMs,
      request.whenForgotten,
      request.knownEpoch,
      request.knownWaitMs,
      request.recordedSeq,
      request.server ?? this.server,
      ...request.settlements.toArguments(request.nowMs),
    );
    return toStepReply(reply);
  }

  /** Creates the hash of a provider that was never seen before; one that exists is left as it is. */
  async provision(provider: string): Promise<void> {
    await this.redis.hsetnx(quotaKey(provider), 'epoch', 1);
  }
}

function readLua(name: string): string {
  return readFileSync(new URL(`lua/${name}.lua`, import.meta.url), 'utf8');
}

function commandOf(name: PolicyName): string {
  return `quotaStep:${name}`;
}

/** A provider that changes it is one that nothing is known of. */
function kindOf(policy: LimitedPolicy): string {
  if (policy.policy === 'count-then-block') return `${policy.policy}/${policy.startsAt}`;
  if (policy.policy === 'fixed-window') return `${policy.policy}/${policy.anchor}`;
  return policy.policy;
}

/** limit, periodMs, guardMs and the policy's option, as its Lua file tells. */
function policyArguments(policy: LimitedPolicy): number[] {
  if (policy.policy === 'token-bucket') return [policy.capacity, 1_000 / policy.refillPerSecond, 0, 0];
  const periodMs = periodMsOf(policy);
  return [policy.limit, periodMs, guardMs(periodMs), optionOf(policy)];
}

function optionOf(policy: Exclude<LimitedPolicy, { policy: 'token-bucket' }>): number {
  if (policy.policy === 'count-then-block') return policy.startsAt === 'first-refusal' ? 1 : 0;
  if (policy.policy === 'fixed-window') return policy.anchor === 'clock' ? policy.clockSkewMs : -1;
  return 0;
}

function toStepReply(reply: number[]): StepReply {
  const [granted = 0, epoch = 0, generation = 0, state = 2, waitMs = 0, used = 0, limit = 0] = reply;
  const [event = 0, recorded = 0, foreign = 0, grantedAtMs = -1] = reply.slice(7);
  return {
    granted,
    epoch,
    generation,
    state: STATES[state] ?? 'blocked',
    waitMs,
    used,
    limit,
    event: EVENTS[event],
    isRecorded: recorded === 1,
    foreign,
    grantedAtMs,
  };
}
