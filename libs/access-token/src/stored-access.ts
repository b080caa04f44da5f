import { Injectable, Logger } from '@nestjs/common';
import { sql } from 'drizzle-orm';
import { z } from 'zod';
import { type Database, databaseReason, InjectDatabase, PreparedStatement } from '#database';
import { OutageLog } from '#service';
import { BatchedLookup } from './batched-lookup.js';
import { REVOCATION_TTL_MS } from './claims.js';

/** A key and the rights of its account at the moment of the query. */
export interface StoredApiKey {
  id: string;
  accountId: string;
  paidAccess: boolean;
  isDisabled: boolean;
  expiresAt: Date | null;
}

const REVOKED = new PreparedStatement(
  sql`select access_id from revoked_access where access_id = any(${sql.placeholder('ids')}::uuid[])`,
);

const REVOKED_WITHIN = new PreparedStatement(
  sql`select access_id, expires_at from revoked_access
    where expires_at > clock_timestamp() + ${sql.placeholder('remainingMs')} * interval '1 ms'`,
);

const API_KEYS = new PreparedStatement(sql`
  select k.hash, k.id, k.account_id, k.expires_at, a.paid_access, a.disabled,
    coalesce(k.last_used_at < now() - interval '1 minute', true) as is_use_unknown
  from api_keys k join accounts a on a.id = k.account_id
  where k.hash = any(${sql.placeholder('hashes')}::text[])`);

/** The condition is repeated because other pods use the key too. */
const KEYS_USED = new PreparedStatement(sql`
  update api_keys set last_used_at = now()
  where id = any(${sql.placeholder('ids')}::uuid[])
    and coalesce(last_used_at < now() - interval '1 minute', true)`);

const revokedRow = z.object({ access_id: z.string() });
const revocationRow = revokedRow.extend({ expires_at: z.date() });
const apiKeyRow = z.object({
  hash: z.string(),
  id: z.string(),
  account_id: z.string(),
  expires_at: z.date().nullable(),
  paid_access: z.boolean(),
  disabled: z.boolean(),
  is_use_unknown: z.boolean(),
});
type ApiKeyRow = z.infer<typeof apiKeyRow>;

/**
 * What Postgres knows about credentials: revoked sessions, and API keys with the rights of their accounts. It is the
 * truth: a revocation is committed there before it is announced.
 */
@Injectable()
export class StoredAccess {
  private readonly outage = new OutageLog(new Logger('keys'), {
    failed: 'last use of API keys cannot be recorded',
    recovered: 'last use of API keys is recorded again',
  });
  private readonly revoked = new BatchedLookup((ids) => this.queryRevoked(ids));
  private readonly keys = new BatchedLookup((hashes) => this.queryKeys(hashes));
  private isRecordingUse = false;

  constructor(@InjectDatabase() private readonly db: Database) {}

  /** @throws LookupFailed */
  async isRevoked(accessId: string): Promise<boolean> {
    return (await this.revoked.find(accessId)) ?? false;
  }

  /**
   * Revocations recorded within the last `ms`, by access id, with their expiry as Unix time in milliseconds. Without
   * `ms`, all that have not expired.
   * @throws DrizzleQueryError
   */
  async revokedWithin(ms = REVOCATION_TTL_MS): Promise<Map<string, number>> {
    const remainingMs = Math.max(0, REVOCATION_TTL_MS - ms);
    const rows = z.array(revocationRow).parse(await REVOKED_WITHIN.execute(this.db, { remainingMs }));
    return new Map(rows.map((row) => [row.access_id, row.expires_at.getTime()]));
  }

  /**
   * Also a key that is expired or whose account is disabled. `undefined` if no such key exists.
   * @throws LookupFailed
   */
  findKey(hash: string): Promise<StoredApiKey | undefined> {
    return this.keys.find(hash);
  }

  private async queryRevoked(ids: string[]): Promise<Map<string, true>> {
    const rows = z.array(revokedRow).parse(await REVOKED.execute(this.db, { ids }));
    return new Map(rows.map((row) => [row.access_id, true]));
  }

  private async queryKeys(hashes: string[]): Promise<Map<string, StoredApiKey>> {
    const rows = z.array(apiKeyRow).parse(await API_KEYS.execute(this.db, { hashes }));
    void this.recordUse(rows.filter((row) => row.is_use_unknown && isUsable(row)).map((row) => row.id));
    return new Map(rows.map((row) => [row.hash, storedKeyOf(row)]));
  }

  /** One update at a time. What it leaves out is recorded at the next lookup of the key, within seconds. */
  private async recordUse(ids: string[]): Promise<void> {
    if (ids.length === 0 || this.isRecordingUse) return;
    this.isRecordingUse = true;
    try {
      await KEYS_USED.execute(this.db, { ids });
      this.outage.recovered();
    } catch (error) {
      this.outage.failed({ reason: databaseReason(error) });
    } finally {
      this.isRecordingUse = false;
    }
  }
}

function isUsable({ disabled, expires_at: expiresAt }: ApiKeyRow): boolean {
  return !disabled && (expiresAt === null || expiresAt.getTime() > Date.now());
}

function storedKeyOf(row: ApiKeyRow): StoredApiKey {
  return {
    id: row.id,
    accountId: row.account_id,
    paidAccess: row.paid_access,
    isDisabled: row.disabled,
    expiresAt: row.expires_at,
  };
}
