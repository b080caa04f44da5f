import { readFileSync } from 'node:fs';
import { Cluster } from 'ioredis';
import type { RedisConnection } from '#redis';
import { quotaKey } from './keys.js';
import { guardMs, type LimitedPolicy, periodMsOf } from '../policy.js';
import type { SettlementBatch } from './settlement-batch.js';

export type PolicyName = LimitedPolicy['policy'];
const POLICY_NAMES = ['count-then-block', 'fixed-window', 'sliding-window', 'token-bucket', 'concurrency'] as const;
const STATES = ['open', 'spent', 'blocked'] as const;
const EVENTS = [undefined, 'blocked', 'reopened', 'forgotten', 'rebuilt'] as const;
const SOURCES = ['counted', 'announced', 'recovered'] as const;

export type WhenForgotten = 'blocked' | 'fresh';

/** Requests that a provider may have counted, as a journal knows them. */
export interface Sent {
  /** Time since they were sent at the latest, in milliseconds. */
  agoMs: number;
  /** How many, or of a quota that counts amounts the amount. */
  requests: number;
  /** Epoch of their permits, if the journal has it. */
  epoch?: number | undefined;
}

export interface StepRequest {
  provider: string;
  /** The name of the quota, where the provider has several. */
  quota?: string | undefined;
  policy: LimitedPolicy;
  podId: string;
  /** Numbers this pod's steps for this provider. A retried step keeps its number and is applied once. */
  seq: number;
  want: number;
  /** Fewer permits than this are of no use to any caller. Default 1. */
  least?: number | undefined;
  /** The quota counts amounts, which are estimates until their requests are settled. */
  countsAmounts?: boolean | undefined;
  /** Redis counts an unsettled permit as unknown this long after granting it. */
  holdMs: number;
  whenForgotten: WhenForgotten;
  knownEpoch: number;
  /** How long this pod knows the quota to stay blocked; 0 if it does not know of a block. */
  knownWaitMs: number;
  /** Number of the last step that Redis recorded; 0 for none. */
  recordedSeq: number;
  settlements: SettlementBatch;
  /** What was sent before a forgotten quota was lost. */
  recalled?: readonly Sent[] | undefined;
  /** Starts of calendar windows around the server's time, in Unix time in milliseconds. */
  windowStartsMs?: readonly number[] | undefined;
  /** On this pod's monotonic clock. */
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
  /** Whether the hash has this step's number. */
  isRecorded: boolean;
  /** Requests of other clients that this step learned of. */
  foreign: number;
  /** When the permits were granted, on the clock of Redis; settlements bring it back. */
  grantedAtMs: number;
  /** How long the slots of the window can still be used; undefined where no window has begun, or none ends. */
  windowEndsInMs: number | undefined;
  /** The account is held back after a refusal that this quota does not explain. */
  isHeld: boolean;
  /** The clock of the server. */
  serverMs: number;
  /** The count was lost: when a journal may be asked what was sent before. */
  recallInMs: number | undefined;
  /** How `used` is known. */
  source: (typeof SOURCES)[number];
}

/** One script for each policy: step.lua with the policy's file in place of the line `--@policy`. */
export type StepScripts = Readonly<Record<PolicyName, string>>;

export const STEP_SCRIPTS = Object.fromEntries(
  POLICY_NAMES.map((name) => [name, readLua('step').replace('--@policy\n', () => readLua(name))]),
) as StepScripts;

type Steps = Record<string, (key: string, ...args: (string | number)[]) => Promise<number[]>>;

/** The quotas in Redis: one script for each policy, one hash for each provider. */
export class QuotaStore {
  private readonly connectedListeners: (() => void)[] = [];
  /** Run id of the connected server; empty when unknown. */
  private server = '';
  /** The connection was lost and the server behind the new one is not identified yet. */
  private isUnidentified = false;

  /** @param scripts for tests that break them on purpose */
  constructor(
    private readonly redis: RedisConnection,
    scripts = STEP_SCRIPTS,
  ) {
    // Prefixed names: a shared connection may define other scripts.
    for (const name of POLICY_NAMES) redis.defineCommand(commandOf(name), { numberOfKeys: 1, lua: scripts[name] });
  }

  /** False while a step could only fail, or while it is unknown which server would run it. */
  get isConnected(): boolean {
    return this.redis.status === 'ready' && !this.isUnidentified;
  }

  /** Calls back whenever the connection is established. */
  onConnected(listener: () => void): void {
    this.connectedListeners.push(listener);
    // One set of handlers for all providers: Node warns about a leak from eleven listeners on.
    if (this.connectedListeners.length > 1) return;
    this.redis.on('close', () => {
      this.isUnidentified = true;
    });
    this.redis.on('ready', () => void this.announceConnected());
    if (this.redis.status === 'ready') void this.identify();
  }

  private async announceConnected(): Promise<void> {
    await this.identify();
    this.isUnidentified = false;
    for (const listener of this.connectedListeners) listener();
  }

  /** Learns which server answers. In a cluster several do: the run id stays empty. */
  private async identify(): Promise<void> {
    try {
      const serverInfo = this.redis instanceof Cluster ? '' : await this.redis.info('server');
      this.server = /^run_id:(\w+)/m.exec(serverInfo)?.[1] ?? '';
    } catch {
      // INFO is not permitted, or the server is gone again: its count is trusted as it is.
      this.server = '';
    }
  }

  /** @throws when Redis cannot be reached or refuses; it may have applied the step all the same */
  async step(request: StepRequest): Promise<StepReply> {
    const { policy } = request;
    const command = (this.redis as unknown as Steps)[commandOf(policy.policy)];
    if (command === undefined) throw new TypeError(`the Redis connection has no command ${commandOf(policy.policy)}`);
    const reply = await command.call(
      this.redis,
      quotaKey(request.provider, request.quota),
      request.serverClockMs ?? '',
      request.podId,
      request.seq,
      request.want,
      kindOf(policy),
      ...policyArguments(policy, request.windowStartsMs),
      request.holdMs,
      request.whenForgotten,
      request.knownEpoch,
      request.knownWaitMs,
      request.recordedSeq,
      request.server ?? this.server,
      recalledArgument(request.recalled),
      request.least ?? 1,
      request.countsAmounts === true ? 1 : 0,
      ...request.settlements.toArguments(request.nowMs),
    );
    return toStepReply(reply);
  }

  /** Creates the hash of a new provider. An existing hash stays as it is. */
  async provision(provider: string, quota?: string): Promise<void> {
    await this.redis.hsetnx(quotaKey(provider, quota), 'epoch', 1);
  }
}

function readLua(name: string): string {
  return readFileSync(new URL(`lua/${name}.lua`, import.meta.url), 'utf8');
}

function commandOf(name: PolicyName): string {
  return `quotaStep:${name}`;
}

/** How the provider counts. When this changes, the stored count is worthless. */
function kindOf(policy: LimitedPolicy): string {
  if (policy.policy === 'count-then-block') return `${policy.policy}/${policy.startsAt}`;
  if (policy.policy !== 'fixed-window') return policy.policy;
  if ('anchor' in policy) return `${policy.policy}/${policy.anchor}`;
  return [policy.policy, policy.every, policy.timeZone, policy.offsetMs].join('/');
}

/** limit, periodMs, guardMs and the policy's option, as described in its Lua file. */
function policyArguments(policy: LimitedPolicy, windowStartsMs: readonly number[] = []): (number | string)[] {
  if (policy.policy === 'token-bucket') return [policy.capacity, 1_000 / policy.refillPerSecond, 0, 0];
  const periodMs = periodMsOf(policy);
  const option = 'every' in policy ? `${policy.clockSkewMs}|${windowStartsMs.join(',')}` : optionOf(policy);
  return [policy.limit, periodMs, guardMs(periodMs), option];
}

function optionOf(policy: Exclude<LimitedPolicy, { policy: 'token-bucket' }>): number {
  if (policy.policy === 'count-then-block') return policy.startsAt === 'first-refusal' ? 1 : 0;
  if (policy.policy === 'fixed-window') {
    return 'anchor' in policy && policy.anchor === 'first-accept' ? -1 : policy.clockSkewMs;
  }
  return 0;
}

function recalledArgument(recalled: readonly Sent[] | undefined): string {
  if (recalled === undefined) return '';
  const latestFirst = recalled.toSorted((one, other) => one.agoMs - other.agoMs);
  return `=${latestFirst.map(({ agoMs, requests, epoch = 0 }) => `${Math.floor(agoMs)}:${requests}:${epoch}`).join(',')}`;
}

function toStepReply(reply: number[]): StepReply {
  const [granted = 0, epoch = 0, generation = 0, state = 2, waitMs = 0, used = 0, limit = 0] = reply;
  const [event = 0, recorded = 0, foreign = 0, grantedAtMs = -1, windowEndsInMs = -1, held = 0, serverMs = 0] =
    reply.slice(7);
  const [recallInMs = -1, source = 0] = reply.slice(14);
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
    windowEndsInMs: windowEndsInMs < 0 ? undefined : windowEndsInMs,
    isHeld: held === 1,
    serverMs,
    recallInMs: recallInMs < 0 ? undefined : recallInMs,
    source: SOURCES[source] ?? 'counted',
  };
}
