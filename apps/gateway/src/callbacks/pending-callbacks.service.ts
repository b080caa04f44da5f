import { Injectable } from '@nestjs/common';
import { and, asc, eq, isNull, lte, notInArray, or, type SQL, sql } from 'drizzle-orm';
import { callbacks, type Database, InjectDatabase } from '#database';
import type { NextStep } from './retry-policy.js';
import type { OutgoingCallback, TryResult } from './post-callback.js';

export interface ClaimedCallback extends OutgoingCallback {
  accountId: string;
  /** Before this one. */
  tries: number;
  /** Tells this claim from a later one of somebody else. */
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

/** The callbacks that are still to be delivered. All times are Postgres's: pods need not agree on theirs. */
@Injectable()
export class PendingCallbacks {
  constructor(@InjectDatabase() private readonly db: Database) {}

  /** Takes what is due, longest due first; nobody else gets it before `claimMs` have passed. */
  claim({
    limit,
    claimMs,
    passedOver,
  }: {
    limit: number;
    claimMs: number;
    /** Ids of accounts that have to wait. */
    passedOver: readonly string[];
  }): Promise<ClaimedCallback[]> {
    const due = this.db
      .select({ messageId: callbacks.messageId })
      .from(callbacks)
      .where(and(isPending(passedOver), lte(callbacks.nextTryAt, sql`now()`), isUnclaimed()))
      .orderBy(asc(callbacks.nextTryAt))
      .limit(limit)
      .for('update', { skipLocked: true });
    return (
      this.db
        .update(callbacks)
        .set({ claimedUntil: inMs(claimMs) })
        // As an array it is computed once; as a subquery it may be run again, and lock more than the limit.
        .where(sql`${callbacks.messageId} = any(array(${due}))`)
        .returning(CLAIM_COLUMNS)
    );
  }

  /** Until the next one is due that nobody is at, in milliseconds; `undefined` if there is none. */
  async untilNextMs(passedOver: readonly string[]): Promise<number | undefined> {
    const [next] = await this.db
      .select({ ms: sql<number | null>`ceil(extract(epoch from min(${callbacks.nextTryAt}) - now()) * 1000)::float8` })
      .from(callbacks)
      .where(and(isPending(passedOver), isNull(callbacks.claimedUntil)));
    return next?.ms ?? undefined;
  }

  /** Keeps what came of a try. Whose claim was taken over has no say any more, unless it did deliver. */
  async record(claimed: ClaimedCallback, { result, next }: { result: TryResult; next: NextStep }): Promise<void> {
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

  /** For others to take at once, as if it had not been tried. */
  async giveBack(claimed: ClaimedCallback): Promise<void> {
    await this.db.update(callbacks).set({ claimedUntil: null }).where(isStillOurs(claimed));
  }
}

/** As the index has it. */
function isPending(passedOver: readonly string[]): SQL | undefined {
  return and(
    isNull(callbacks.deliveredAt),
    isNull(callbacks.gaveUpAt),
    passedOver.length === 0 ? undefined : notInArray(callbacks.accountId, [...passedOver]),
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
