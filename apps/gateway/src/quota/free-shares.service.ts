import { readFileSync } from 'node:fs';
import { Inject, Injectable, type BeforeApplicationShutdown, type OnApplicationBootstrap } from '@nestjs/common';
import { ne } from 'drizzle-orm';
import { accounts, type Database, InjectDatabase } from '#database';
import { hasWindows, limitOf, periodMsOf, type Permit, Quota, REQUESTS, type Reservation } from '#quota';
import type { RedisConnection } from '#redis';
import { PostgresPoll } from '../postgres-poll.js';
import type { Provider } from '../providers/providers-file.js';
import { QUOTA_REDIS } from './quota-redis.js';

/** How long a changed share may take to reach every pod. */
const POLL_MS = 2_000;
/** An account is active for this many periods of the quota after its last request, within these bounds. */
const ACTIVE_PERIODS = 2;
const ACTIVE_MIN_MS = 2_000;
const ACTIVE_MAX_MS = 600_000;
/** Least time between two notes that a denied account is active. */
const NOTE_EVERY_MS = 1_000;
/** How long a pod repeats a denial without asking Redis. */
const DENIED_MS = 250;
/** Most accounts that a pod remembers denials and notes of. */
const REMEMBERED_MAX = 10_000;

export interface ShareDenial {
  granted: false;
  reason: 'share';
  waitMs: number;
}

/** The share is used up, or Redis does not answer. */
export type DeniedByShare = ShareDenial | { granted: false; reason: 'unavailable' };

type Command = (...args: (string | number)[]) => Promise<number>;

/**
 * How much of each window of a free quota an account may use: all of it, a number of requests, or an equal part among the
 * active accounts. Requests count, not amounts such as tokens. Accounts without a share cost nothing here, others one more
 * trip to Redis for each permit.
 */
@Injectable()
export class FreeShares implements OnApplicationBootstrap, BeforeApplicationShutdown {
  /** Shares other than `all`, by account id. */
  private shares = new Map<string, string>();
  private readonly deniedUntilMs = new Map<string, number>();
  private readonly notedMs = new Map<string, number>();
  private readonly command: Command;
  private readonly poll = new PostgresPoll(() => this.readShares(), { everyMs: POLL_MS, what: 'free shares' });

  constructor(
    @Inject(QUOTA_REDIS) redis: RedisConnection,
    private readonly quota: Quota,
    @InjectDatabase() private readonly db: Database,
  ) {
    const lua = readFileSync(new URL('free-shares.lua', import.meta.url), 'utf8');
    redis.defineCommand('octoFreeShare', { numberOfKeys: 2, lua });
    this.command = (redis as unknown as { octoFreeShare: Command }).octoFreeShare.bind(redis);
  }

  /** Known before the first message, if Postgres answers. */
  async onApplicationBootstrap(): Promise<void> {
    await this.poll.start();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.poll.close();
  }

  /** Reserves a permit within the account's share; gives the permit back if the share is used up. */
  async reserve(
    accountId: string,
    provider: Provider,
    reservePermit: () => Promise<Reservation>,
  ): Promise<Reservation | DeniedByShare> {
    const share = this.shares.get(accountId);
    if (share === undefined) return reservePermit();
    const known = this.knownDenial(accountId, provider);
    if (known !== undefined) return known;
    const reservation = await reservePermit();
    if (reservation.granted) return (await this.charge(accountId, provider, reservation.permit)) ?? reservation;
    this.noteActive(accountId, provider);
    return reservation;
  }

  /** Charges a permit to the account's share, or gives it back. Undefined when the message may be sent. */
  async charge(accountId: string, provider: Provider, permit: Permit): Promise<DeniedByShare | undefined> {
    const share = this.shares.get(accountId);
    if (share === undefined) return undefined;
    let left: number;
    try {
      left = await this.run(accountId, provider, { share, epoch: permit.epoch, count: 1 });
    } catch {
      // The quota engine reports that Redis does not answer.
      this.quota.settle(permit, { outcome: 'notSent' });
      return { granted: false, reason: 'unavailable' };
    }
    if (left >= 0) return undefined;
    this.quota.settle(permit, { outcome: 'notSent' });
    remember(this.deniedUntilMs, keyOf(accountId, provider), performance.now() + DENIED_MS);
    return denialOf(provider);
  }

  /**
   * How many waiting messages may go now, of those accounts that wait and have a share. They stay active.
   * @param ids accounts that wait
   */
  async leftOf(provider: Provider, ids: readonly string[]): Promise<Record<string, number>> {
    const { account, quotas } = provider;
    if (ids.length === 0 || quotas.length === 0) return {};
    // Messages that are prepared while the quota is blocked go in the next window.
    const epoch = this.quota.epochOf(account) + (this.quota.blockedForMs(account) > 0 ? 1 : 0);
    const left = async (id: string): Promise<[string, number]> => {
      const share = this.shares.get(id) ?? '0';
      // While Redis does not answer there are no permits either.
      return [id, await this.run(id, provider, { share, epoch, count: 0 }).catch(() => 0)];
    };
    return Object.fromEntries(await Promise.all(ids.map(left)));
  }

  /** Accounts that may not use all of a free quota. */
  get accountIds(): string[] {
    return [...this.shares.keys()];
  }

  /** The message was not sent. */
  giveBack(accountId: string, provider: Provider, permit: Permit): void {
    const share = this.shares.get(accountId);
    if (share === undefined) return;
    void this.run(accountId, provider, { share, epoch: permit.epoch, count: -1 }).catch(() => 0);
  }

  private knownDenial(accountId: string, provider: Provider): ShareDenial | undefined {
    const key = keyOf(accountId, provider);
    const untilMs = this.deniedUntilMs.get(key);
    if (untilMs === undefined) return undefined;
    if (performance.now() < untilMs) return denialOf(provider);
    this.deniedUntilMs.delete(key);
    return undefined;
  }

  /** An account that is denied, or whose message waits, stays active: so it gets its part of the next window. */
  noteActive(accountId: string, provider: Provider): void {
    const share = this.shares.get(accountId);
    if (share !== 'equal' || provider.quotas.length === 0) return;
    const key = keyOf(accountId, provider);
    const nowMs = performance.now();
    if (nowMs - (this.notedMs.get(key) ?? -Infinity) < NOTE_EVERY_MS) return;
    remember(this.notedMs, key, nowMs);
    void this.run(accountId, provider, { share, epoch: this.quota.epochOf(provider.account), count: 0 }).catch(() => 0);
  }

  private run(
    accountId: string,
    { account, quotas }: Provider,
    { share, epoch, count }: { share: string; epoch: number; count: number },
  ): Promise<number> {
    const policy = quotas.find(({ unit }) => unit === REQUESTS)?.policy;
    if (policy === undefined) return Promise.resolve(Infinity);
    const periodMs = periodMsOf(policy);
    const activeMs = Math.min(ACTIVE_MAX_MS, Math.max(ACTIVE_MIN_MS, ACTIVE_PERIODS * periodMs));
    const window = quotas.length === 1 && hasWindows(policy) ? epoch : '';
    const key = `octo:{quota:${account}}`;
    return this.command(
      `${key}:shares`,
      `${key}:active`,
      window,
      accountId,
      share,
      limitOf(policy),
      periodMs,
      activeMs,
      count,
    );
  }

  private async readShares(): Promise<void> {
    const rows = await this.db
      .select({ id: accounts.id, share: accounts.freeShare })
      .from(accounts)
      .where(ne(accounts.freeShare, 'all'));
    this.shares = new Map(rows.map(({ id, share }) => [id, share]));
  }
}

function remember(times: Map<string, number>, key: string, ms: number): void {
  if (times.size >= REMEMBERED_MAX) times.clear();
  times.set(key, ms);
}

function keyOf(accountId: string, { account }: Provider): string {
  return `${accountId} ${account}`;
}

/** The share is whole again in the next window, or when fewer accounts are active. */
function denialOf({ quota: policy }: Provider): ShareDenial {
  const waitMs = policy === undefined ? 0 : periodMsOf(policy);
  return { granted: false, reason: 'share', waitMs: Math.min(ACTIVE_MAX_MS, Math.max(1_000, waitMs)) };
}
