import { readFileSync } from 'node:fs';
import {
  Inject,
  Injectable,
  Logger,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { ne } from 'drizzle-orm';
import { accounts, databaseReason, type Database, InjectDatabase } from '#database';
import { hasWindows, limitOf, periodMsOf, type Permit, Quota, type Reservation } from '#quota';
import type { RedisConnection } from '#redis';
import { BackgroundLoop, OutageLog } from '#service';
import type { Provider } from '../providers/providers-file.js';
import { QUOTA_REDIS } from './quota-redis.js';

/** How long a changed share may take to reach every pod. */
const POLL_MS = 2_000;
/** An account counts as asking for this many periods of the quota after its last request, within these bounds. */
const ASKING_PERIODS = 2;
const ASKING_MIN_MS = 2_000;
const ASKING_MAX_MS = 600_000;
/** How often a pod says that an account asks while the quota is closed. */
const NOTE_EVERY_MS = 1_000;
/** How long a pod answers for a used up share without asking Redis. */
const DENIED_MS = 250;
/** Most accounts of which a pod remembers when it last said that they ask. */
const NOTED_MAX = 10_000;

export interface ShareDenial {
  granted: false;
  reason: 'share';
  waitMs: number;
}

type Command = (...args: (string | number)[]) => Promise<number>;

/**
 * How much of each window of a free quota an account may use: all of it, a number of requests, or an equal part among the
 * accounts that ask. Accounts without a share cost nothing here, others one more trip to Redis for each permit.
 */
@Injectable()
export class FreeShares implements OnApplicationBootstrap, BeforeApplicationShutdown {
  /** Of accounts that may not use all: `equal`, or a number. */
  private shares = new Map<string, string>();
  private readonly deniedUntilMs = new Map<string, number>();
  private readonly notedMs = new Map<string, number>();
  private readonly outage = new OutageLog(new Logger('shares'), {
    failed: 'cannot read free shares',
    recovered: 'free shares are read again',
  });
  private readonly loop = new BackgroundLoop(
    () => this.poll(),
    (error) => {
      this.outage.failed({ reason: databaseReason(error) });
      return POLL_MS;
    },
  );

  constructor(
    @Inject(QUOTA_REDIS) private readonly redis: RedisConnection,
    private readonly quota: Quota,
    @InjectDatabase() private readonly db: Database,
  ) {
    const lua = readFileSync(new URL('free-shares.lua', import.meta.url), 'utf8');
    redis.defineCommand('octoFreeShare', { numberOfKeys: 2, lua });
  }

  async onApplicationBootstrap(): Promise<void> {
    this.loop.start();
    await Promise.resolve();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.loop.close();
  }

  /** A permit within the account's share of a free quota. A permit beyond it is given back. */
  async reserve(
    accountId: string,
    provider: Provider,
    reservePermit: () => Promise<Reservation>,
  ): Promise<Reservation | ShareDenial> {
    const share = this.shares.get(accountId);
    if (share === undefined) return reservePermit();
    const known = this.knownDenial(accountId, provider);
    if (known !== undefined) return known;
    const reservation = await reservePermit();
    if (reservation.granted) return (await this.charge(accountId, provider, reservation.permit)) ?? reservation;
    this.noteDemand(accountId, provider, share);
    return reservation;
  }

  /** Charges a permit to the account's share, or gives it back. Undefined when the message may be sent. */
  async charge(accountId: string, provider: Provider, permit: Permit): Promise<ShareDenial | undefined> {
    const share = this.shares.get(accountId);
    if (share === undefined) return undefined;
    const isTaken = await this.run(accountId, provider, { share, epoch: permit.epoch, count: 1 }).catch(() => 0);
    if (isTaken === 1) return undefined;
    this.quota.settle(permit, { outcome: 'notSent' });
    this.deniedUntilMs.set(keyOf(accountId, provider), performance.now() + DENIED_MS);
    return denialOf(provider);
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

  /** Also an account that is denied because the quota is closed gets its part of the next window. */
  private noteDemand(accountId: string, provider: Provider, share: string): void {
    if (share !== 'equal') return;
    const key = keyOf(accountId, provider);
    const nowMs = performance.now();
    if (nowMs - (this.notedMs.get(key) ?? -Infinity) < NOTE_EVERY_MS) return;
    if (this.notedMs.size >= NOTED_MAX) this.notedMs.clear();
    this.notedMs.set(key, nowMs);
    void this.run(accountId, provider, { share, epoch: 0, count: 0 }).catch(() => 0);
  }

  private run(
    accountId: string,
    { account, quota: policy, quotas }: Provider,
    { share, epoch, count }: { share: string; epoch: number; count: number },
  ): Promise<number> {
    if (policy === undefined) return Promise.resolve(1);
    const periodMs = periodMsOf(policy);
    const askingMs = Math.min(ASKING_MAX_MS, Math.max(ASKING_MIN_MS, ASKING_PERIODS * periodMs));
    const window = quotas.length === 1 && hasWindows(policy) ? epoch : '';
    const key = `octo:{quota:${account}}`;
    const command = (this.redis as unknown as { octoFreeShare: Command }).octoFreeShare.bind(this.redis);
    return command(
      `${key}:shares`,
      `${key}:asking`,
      window,
      accountId,
      share,
      limitOf(policy),
      periodMs,
      askingMs,
      count,
    );
  }

  private async poll(): Promise<number> {
    const rows = await this.db
      .select({ id: accounts.id, share: accounts.freeShare })
      .from(accounts)
      .where(ne(accounts.freeShare, 'all'));
    this.shares = new Map(rows.map(({ id, share }) => [id, share]));
    this.outage.recovered();
    return POLL_MS;
  }
}

function keyOf(accountId: string, { account }: Provider): string {
  return `${accountId} ${account}`;
}

/** The share is whole again in the next window, or when fewer accounts ask. */
function denialOf({ quota: policy }: Provider): ShareDenial {
  const waitMs = policy === undefined ? 0 : periodMsOf(policy);
  return { granted: false, reason: 'share', waitMs: Math.min(ASKING_MAX_MS, Math.max(1_000, waitMs)) };
}
