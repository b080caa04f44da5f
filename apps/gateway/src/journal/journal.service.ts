import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { DrizzleQueryError, sql } from 'drizzle-orm';
import { z } from 'zod';
import { type Database, InjectDatabase, isRefusal, type PreparedStatement } from '#database';
import { ProblemException } from '#service';
import type { GatewaySettings } from '../gateway.settings.js';
import { SETTINGS } from '../settings.token.js';
import type { ProvidersFile } from '../providers/providers-file.js';
import { PROVIDERS } from '../providers/providers.token.js';
import { CallbackDelivery } from '../callbacks/callback-delivery.service.js';
import { GroupCommit } from './group-commit.js';
import { journalStatements, notRecorded } from './journal-metrics.js';
import type { Change, Ending, Message } from '../message.js';
import {
  CHANGE,
  changeEntry,
  type ChangeRow,
  correctStatement,
  type Entry,
  INSERT,
  insertEntry,
  type MessageRow,
  PLAIN_INSERT,
  valuesOf,
} from './statements.js';

/** A batch of the longest messages is some 9 MB. */
const BATCH_MAX = 100;
/** How soon Postgres is asked again while it is down. */
const PROBE_MS = 250;
/** Longest that the sender of a message that was delivered waits for it to be recorded. */
const IN_TIME_MS = 5_000;
/** Most records kept in memory while Postgres is down; about 1 kB each, and their texts. */
const LATER_MAX = 10_000;

/** Most rows that wait to be written; with more Postgres is too slow for what comes. */
const BEHIND_MAX = 10_000;

const idsSchema = z.array(z.object({ id: z.uuid() }));

/** The idempotency key was used before. */
export class KeyTaken extends Error {}

/** Writes what happens to messages, in batches: one statement is under way, the next takes all that came meanwhile. */
@Injectable()
export class Journal implements OnApplicationShutdown {
  private readonly logger = new Logger('journal');
  private readonly plainInserts = new GroupCommit<Entry<MessageRow>, boolean>(
    async (entries) => {
      await this.execute(PLAIN_INSERT, entries);
      return entries.map(() => true);
    },
    BATCH_MAX,
    isRefused,
  );
  private readonly inserts = new GroupCommit<Entry<MessageRow>, boolean>(
    (entries) => this.commit(INSERT, entries),
    BATCH_MAX,
    isRefused,
  );
  private readonly changes = new GroupCommit<Entry<ChangeRow>, boolean>(
    (entries) => this.commit(CHANGE, entries),
    BATCH_MAX,
    isRefused,
  );
  private probing: Promise<void> | undefined;
  private isClosed = false;
  /** Records of messages that were sent, to be written when Postgres is back. */
  private later = 0;

  constructor(
    @InjectDatabase() private readonly db: Database,
    @Inject(PROVIDERS) private readonly config: ProvidersFile,
    @Inject(SETTINGS) private readonly settings: GatewaySettings,
    private readonly callbacks: CallbackDelivery,
  ) {}

  /** Postgres did not answer when it was last asked. */
  get isDown(): boolean {
    return this.probing !== undefined;
  }

  /**
   * Before anything is sent: a message that could not be recorded afterwards is turned away, if it must be recorded.
   * @throws ProblemException `unavailable`
   */
  admit({ mustBeOnDisk }: { mustBeOnDisk: boolean }): void {
    const isBehind = this.plainInserts.length + this.inserts.length + this.changes.length > BEHIND_MAX;
    if (!isBehind && (!this.isDown || (!mustBeOnDisk && this.settings.JOURNAL_DOWN === 'continue'))) return;
    const detail = 'The message cannot be recorded at the moment, and was not sent. Try again.';
    throw new ProblemException('unavailable', detail, { retryAfterMs: 1_000 });
  }

  /**
   * Puts a message on disk, with its idempotency key if it has one.
   * @throws KeyTaken when its key was: then nothing is written
   * @throws DrizzleQueryError
   */
  async insert(message: Message, change: Change): Promise<void> {
    const entry = insertEntry(message, change, this.config.currency);
    const hops = message.hops.length;
    const isPlain = message.idempotencyKey === undefined && message.callbackUrl === undefined;
    // Without a key it is there all the same: a repeated statement may not see what the first one has just written.
    const isWritten = await (isPlain ? this.plainInserts : this.inserts).add(entry);
    if (!isWritten && message.idempotencyKey !== undefined) throw new KeyTaken();
    message.hopsOnDisk = hops;
    this.wakeCallback(message, change.ending);
  }

  /** Writes a message once, when it is over. It was sent: whatever happens now, it is tried until it is written. */
  async insertFinished(message: Message, change: Change): Promise<void> {
    const write = (): Promise<void> => this.insert(message, change);
    try {
      await (this.settings.JOURNAL_DOWN === 'continue' ? this.recordLaterIfDown(write) : this.withinDeadline(write));
    } catch (error) {
      if (isRefused(error)) this.logger.error('sent, and cannot be recorded', { id: message.id });
      throw error;
    }
  }

  /**
   * Goes on trying in the background when it takes too long.
   * @throws ProblemException `unavailable`: it is not recorded yet
   */
  withinDeadline(write: () => Promise<unknown>): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(notRecordedYet()), IN_TIME_MS);
      this.retryUntilRecorded(write)
        .finally(() => clearTimeout(timer))
        .then(() => resolve(), reject);
    });
  }

  /**
   * Records what happened to a message that is on disk.
   * @returns false when another pod has taken it over
   * @throws DrizzleQueryError
   */
  async change(message: Message, change: Change): Promise<boolean> {
    const { ending } = change;
    const hops = message.hops.length;
    const entry = changeEntry(message, change);
    const isChanged = await this.changes.add(entry);
    if (!isChanged && ending?.status === 'delivered') await this.db.execute(correctStatement(entry));
    message.hopsOnDisk = hops;
    this.wakeCallback(message, ending);
    return isChanged;
  }

  /** Does it again whenever Postgres was down, until it is done: for what has happened and must not be forgotten. */
  retryUntilRecorded<Result>(write: () => Promise<Result>): Promise<Result> {
    return write().catch(async (error: unknown) => {
      if (this.isClosed || !isDownError(error)) throw error;
      await (this.probing ??= this.probe(error));
      return this.retryUntilRecorded(write);
    });
  }

  private async recordLaterIfDown(write: () => Promise<void>): Promise<void> {
    try {
      await write();
    } catch (error) {
      if (!isDownError(error)) throw error;
      if (this.later >= LATER_MAX) return notRecorded.inc();
      this.later += 1;
      void this.retryUntilRecorded(write)
        .catch(() => notRecorded.inc())
        .finally(() => (this.later -= 1));
    }
  }

  onApplicationShutdown(): void {
    this.isClosed = true;
  }

  private wakeCallback({ callbackUrl }: Message, ending: Ending | undefined): void {
    if (callbackUrl !== undefined && ending !== undefined) this.callbacks.wake();
  }

  /** @returns for each row whether it was among those the statement gave back */
  private async commit(statement: PreparedStatement, entries: Entry<MessageRow | ChangeRow>[]): Promise<boolean[]> {
    const done = new Set(idsSchema.parse(await this.execute(statement, entries)).map(({ id }) => id));
    return entries.map(({ row }) => done.has(row.id));
  }

  private async execute(statement: PreparedStatement, entries: Entry<MessageRow | ChangeRow>[]): Promise<unknown[]> {
    try {
      journalStatements.inc();
      return await statement.execute(this.db, valuesOf(entries));
    } catch (error) {
      if (isDownError(error)) this.probing ??= this.probe(error);
      throw error;
    }
  }

  private async probe({ cause }: DrizzleQueryError): Promise<void> {
    this.logger.warn('journal is down', { reason: cause?.message });
    while (!this.isClosed) {
      await sleep(PROBE_MS);
      try {
        await this.db.execute(sql`select 1`);
        this.logger.log('journal is back');
        break;
      } catch {
        // Said once, above.
      }
    }
    this.probing = undefined;
  }
}

function notRecordedYet(): ProblemException {
  const detail = 'The message was sent, but could not be recorded yet. Look for it later before sending it again.';
  return new ProblemException('unavailable', detail, { retryAfterMs: 5_000 });
}

function isDownError(error: unknown): error is DrizzleQueryError {
  return error instanceof DrizzleQueryError && !isRefusal(error.cause);
}

function isRefused(error: unknown): boolean {
  return error instanceof DrizzleQueryError && isRefusal(error.cause);
}
