import { Injectable } from '@nestjs/common';
import { and, asc, eq, isNull, lte, notInArray, or, type SQL, sql } from 'drizzle-orm';
import { SECRET_OVERLAP_MS } from '#callback-secrets';
import { callbacks, callbackSecrets, type Database, InjectDatabase } from '#database';
import type { AttemptResult, OutgoingCallback } from './post-callback.js';
import type { NextStep } from './retry-policy.js';
import { type CallbackSigner, DEPLOYMENT_VERSION } from './signing-keys.js';

export interface ClaimedCallback extends OutgoingCallback, CallbackSigner {
  /** Attempts before this claim. */
  tries: number;
  /** Identifies this claim: a later claim by another pod has another time. */
  claimedUntil: Date | null;
}

const CLAIM_COLUMNS = {
  messageId: callbacks.messageId,
  accountId: callbacks.accountId,
  url: callbacks.url,
  payload: callbacks.payload,
  tries: callbacks.tries,
  claimedUntil: callbacks.claimedUntil,
};

/** The callbacks to be delivered. All times are Postgres's, because the clocks of pods may differ. */
@Injectable()
export class PendingCallbacks {
  constructor(@InjectDatabase() private readonly db: Database) {}

  /** Claims callbacks that are due, longest due first. No other pod can claim them until `claimMs` have passed. */
  claimDue({
    limit,
    claimMs,
    skippedAccounts,
  }: {
    limit: number;
    claimMs: number;
    /** Ids of accounts with too many attempts in flight. */
    skippedAccounts: readonly string[];
  }): Promise<ClaimedCallback[]> {
    const due = this.db
      .select({ messageId: callbacks.messageId })
      .from(callbacks)
      .where(and(isPending(skippedAccounts), lte(callbacks.nextTryAt, sql`now()`), isUnclaimed()))
      .orderBy(asc(callbacks.nextTryAt))
      .limit(limit)
      .for('update', { skipLocked: true });
    return (
      this.db
        .update(callbacks)
        .set({ claimedUntil: inMs(claimMs) })
        // An array is computed once; Postgres may run a subquery again, and lock more rows than the limit.
        .where(sql`${callbacks.messageId} = any(array(${due}))`)
        .returning({ ...CLAIM_COLUMNS, secretVersions: this.secretVersions() })
    );
  }

  /** Time until the next unclaimed callback is due, in milliseconds; `undefined` if there is none. */
  async nextDueInMs(skippedAccounts: readonly string[]): Promise<number | undefined> {
    const [next] = await this.db
      .select({ ms: sql<number | null>`ceil(extract(epoch from min(${callbacks.nextTryAt}) - now()) * 1000)::float8` })
      .from(callbacks)
      .where(and(isPending(skippedAccounts), isNull(callbacks.claimedUntil)));
    return next?.ms ?? undefined;
  }

  /** Records the outcome of an attempt. If another pod has taken the claim over, only a delivery is recorded. */
  async record(claimed: ClaimedCallback, { result, next }: { result: AttemptResult; next: NextStep }): Promise<void> {
    const isDelivered = next.step === 'delivered';
    await this.db
      .update(callbacks)
      .set({
        tries: claimed.tries + 1,
        claimedUntil: null,
        lastStatus: 'status' in result ? result.status : null,
        lastError: 'error' in result ? result.error : null,
        deliveredAt: isDelivered ? sql`now()` : null,
        gaveUpAt: next.step === 'given up' ? sql`now()` : null,
        ...(next.step === 'retry' && { nextTryAt: inMs(next.delayMs) }),
      })
      .where(isDelivered ? isUndelivered(claimed) : isStillOurs(claimed));
  }

  /** Ends the claim without an outcome: another pod can claim the callback at once. */
  async release(claimed: ClaimedCallback): Promise<void> {
    await this.db.update(callbacks).set({ claimedUntil: null }).where(isStillOurs(claimed));
  }

  /** The versions that sign now. No cache: a new secret counts from the next claim of any pod. */
  private secretVersions(): SQL<number[]> {
    const { accountId, version, createdAt } = callbackSecrets;
    const isOverlap = sql`${createdAt} > now() - ${SECRET_OVERLAP_MS} * interval '1 millisecond'`;
    const versions = this.db
      .select({ all: sql`case when ${isOverlap} then array[${version}, ${version} - 1] else array[${version}] end` })
      .from(callbackSecrets)
      .where(eq(accountId, callbacks.accountId));
    return sql<number[]>`coalesce(${versions}, array[${sql.raw(String(DEPLOYMENT_VERSION))}])`;
  }
}

/** The first two conditions are those of the index `callbacks_pending`. */
function isPending(skippedAccounts: readonly string[]): SQL | undefined {
  return and(
    isNull(callbacks.deliveredAt),
    isNull(callbacks.gaveUpAt),
    skippedAccounts.length === 0 ? undefined : notInArray(callbacks.accountId, [...skippedAccounts]),
  );
}

function isUnclaimed(): SQL | undefined {
  return or(isNull(callbacks.claimedUntil), lte(callbacks.claimedUntil, sql`now()`));
}

function isUndelivered({ messageId }: ClaimedCallback): SQL | undefined {
  return and(eq(callbacks.messageId, messageId), isNull(callbacks.deliveredAt));
}

function isStillOurs(claimed: ClaimedCallback): SQL | undefined {
  const { claimedUntil } = claimed;
  return and(isUndelivered(claimed), claimedUntil === null ? sql`false` : eq(callbacks.claimedUntil, claimedUntil));
}

function inMs(ms: number): SQL {
  return sql`now() + ${ms} * interval '1 millisecond'`;
}
