import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { Counter, Histogram } from 'prom-client';
import { z } from 'zod';
import {
  type Database,
  databaseReason,
  InjectDatabase,
  inTransaction,
  isDatabaseDown,
  isRefusedQuery,
  type PreparedStatement,
} from '#database';
import { OutageLog } from '#service';
import { type GatewaySettings, SETTINGS } from '../gateway.settings.js';
import { CallbackDelivery } from '../callbacks/callback-delivery.service.js';
import type { Change, Ending, Message } from '../message.js';
import { noteEnding } from '../metrics/message-metrics.js';
import { isoDate } from '../money/budget-day.js';
import { type LedgerEntry, ledgerEntriesOf } from '../money/ledger-entries.js';
import { Spending } from '../money/spending.service.js';
import { PROVIDERS, type ProvidersFile } from '../providers/providers-file.js';
import { GroupCommit } from '../group-commit.js';
import {
  CHANGE,
  changeEntry,
  type ChangeRow,
  correctStatement,
  type Entry,
  INSERT,
  insertEntry,
  type InsertRow,
  journalStatements,
  PAID_INSERT,
  PLAIN_INSERT,
  probeStatements,
  valuesOf,
} from './statements.js';

/** A batch of the longest messages is about 9 MB. */
const BATCH_MAX = 100;
/** Pause between two probes while Postgres is down. */
const PROBE_MS = 250;
/** How long the caller of a delivered message waits for its record. */
const RECORD_DEADLINE_MS = 5_000;
/** With `JOURNAL_DOWN=continue`, how long the caller of a delivered message waits for its record. */
const CONTINUE_AFTER_MS = 1_000;
/** A statement in flight for longer than this means that Postgres hangs. */
const STUCK_MS = 2_000;
/** With `JOURNAL_DOWN=continue`, most records in memory: about 1 kB each, and the text of the message. */
const UNRECORDED_MAX = 10_000;
/** Postgres is too slow for the traffic when a record would wait longer than this; half of the caller's patience. */
const RECORD_WAIT_MAX_MS = RECORD_DEADLINE_MS / 2;

const idsSchema = z.array(z.object({ id: z.uuid() }));

const notRecorded = new Counter({
  name: 'octo_messages_not_recorded_total',
  help: 'Messages sent while the journal was down whose record is lost (JOURNAL_DOWN=continue)',
});

const batchRows = new Histogram({
  name: 'octo_journal_batch_rows',
  help: 'Messages that one SQL statement of the journal wrote',
  buckets: [1, 2, 5, 10, 20, 50, 100],
});

const statementDuration = new Histogram({
  name: 'octo_journal_statement_duration_seconds',
  help: 'Time of the SQL statements that write messages, without those that failed',
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
});

/**
 * `late`: not on disk within the deadline; the pod goes on trying. `continued`: with `JOURNAL_DOWN=continue`, the caller is
 * answered before the record, or without it.
 */
export type Recorded = 'recorded' | 'late' | 'continued';

/**
 * Writes messages to Postgres in batches: one statement of each kind is in flight, the next takes what came meanwhile.
 *
 * The journal is down from the first statement that fails because of the server until a probe has written a row.
 */
@Injectable()
export class Journal implements OnApplicationShutdown {
  private readonly logger = new Logger('journal');
  private readonly outage = new OutageLog(this.logger, { failed: 'journal is down', recovered: 'journal is back' });
  private readonly plainInserts = this.keylessInserts(PLAIN_INSERT);
  private readonly paidInserts = this.keylessInserts(PAID_INSERT);
  private readonly inserts = new GroupCommit<Entry<InsertRow>, boolean>(
    (entries) => this.commit(INSERT, entries),
    BATCH_MAX,
    isRefusedQuery,
  );
  private readonly changes = new GroupCommit<Entry<ChangeRow>, boolean>(
    (entries) => this.commit(CHANGE, entries),
    BATCH_MAX,
    isRefusedQuery,
  );
  private readonly queues = [this.plainInserts, this.paidInserts, this.inserts, this.changes];
  private probing: Promise<void> | undefined;
  private isClosed = false;
  /** Records of delivered messages that are not on disk yet, with `JOURNAL_DOWN=continue`. */
  private unrecorded = 0;

  constructor(
    @InjectDatabase() private readonly db: Database,
    @Inject(PROVIDERS) private readonly config: ProvidersFile,
    @Inject(SETTINGS) private readonly settings: GatewaySettings,
    private readonly callbacks: CallbackDelivery,
    private readonly spending: Spending,
  ) {}

  /** Postgres failed, or hangs. */
  get isDown(): boolean {
    if (this.probing !== undefined) return true;
    const nowMs = performance.now();
    return this.queues.some((queue) => queue.inFlightForMs(nowMs) > STUCK_MS);
  }

  /** How long the longest running statement has taken so far. */
  get lagMs(): number {
    const nowMs = performance.now();
    return Math.max(...this.queues.map((queue) => queue.inFlightForMs(nowMs)));
  }

  /**
   * Whether a message may be sent now. A message that must be recorded afterwards needs a journal that works, and that is
   * fast enough for all messages in flight: load is shed before a message is paid for, not after.
   */
  canRecord({ mustBeOnDisk, inFlight }: { mustBeOnDisk: boolean; inFlight: number }): boolean {
    if (!mustBeOnDisk && this.settings.JOURNAL_DOWN === 'continue') return true;
    const nowMs = performance.now();
    const isSlow = this.queues.some((queue) => queue.expectedWaitMs(inFlight, nowMs) > RECORD_WAIT_MAX_MS);
    return !this.isDown && !isSlow;
  }

  /**
   * Puts a message on disk, with its idempotency key if it has one.
   * @returns false when its key was taken: then nothing is written
   * @throws DrizzleQueryError
   */
  async insert(message: Message, change: Change): Promise<boolean> {
    const ledger = this.ledgerEntries(message, change.ending);
    const entry = insertEntry(message, change, { currency: this.config.currency, ledger });
    const hops = message.hops.length;
    const isPlain = message.idempotencyKey === undefined && message.callbackUrl === undefined;
    const plain = ledger === undefined ? this.plainInserts : this.paidInserts;
    const isWritten = await (isPlain ? plain : this.inserts).add(entry);
    // Keyless inserts cannot lose a key: an empty result means that a retry found the row of the first try.
    if (!isWritten && message.idempotencyKey !== undefined) return false;
    message.hopsOnDisk = hops;
    this.afterEnding(message, change.ending, ledger);
    return true;
  }

  /**
   * Adds what happened to a message that is on disk.
   * @returns false when another pod has taken the message over
   * @throws DrizzleQueryError
   */
  async change(message: Message, change: Change): Promise<boolean> {
    const { ending } = change;
    const hops = message.hops.length;
    const ledger = this.ledgerEntries(message, ending);
    const entry = changeEntry(message, change, ledger);
    const isChanged = await this.changes.add(entry);
    let isRecorded = isChanged;
    if (!isChanged && ending?.status === 'delivered') {
      const { rowCount } = await this.db.execute(correctStatement(entry));
      isRecorded = (rowCount ?? 0) > 0;
    }
    message.hopsOnDisk = hops;
    // What another pod recorded, or this one before it lost the answer, is settled when the hold expires.
    if (isRecorded) this.afterEnding(message, ending, ledger);
    else this.spending.forget(message);
    return isChanged;
  }

  /**
   * Records the end of a message that was sent. While Postgres is down the pod retries until it is recorded.
   * @throws DrizzleQueryError when Postgres refuses the record
   */
  async record(message: Message, change: Change): Promise<Recorded> {
    const isNew = message.hopsOnDisk === 0;
    const write = (): Promise<unknown> => (isNew ? this.insert(message, change) : this.change(message, change));
    try {
      if (isNew && this.settings.JOURNAL_DOWN === 'continue') return await this.recordOrContinue(write);
      return await withinDeadline(this.retryUntilRecorded(write));
    } catch (error) {
      this.logger.error('message was sent and cannot be recorded', { id: message.id, reason: databaseReason(error) });
      throw error;
    }
  }

  /** Retries whenever Postgres was down, until the record is written: for what has happened and must not be lost. */
  retryUntilRecorded<Result>(write: () => Promise<Result>): Promise<Result> {
    return write().catch(async (error: unknown) => {
      if (this.isClosed || !isDatabaseDown(error)) throw error;
      await this.probing;
      return this.retryUntilRecorded(write);
    });
  }

  /** Statements that others make on the journal failed: if Postgres is down, it is down for messages too. */
  noteFailure(error: unknown): void {
    if (isDatabaseDown(error) && !this.isClosed) this.probing ??= this.probe(error);
  }

  onApplicationShutdown(): void {
    this.isClosed = true;
  }

  /** Waits for the record only as long as Postgres is not known to be down; memory holds a bounded number of them. */
  private async recordOrContinue(write: () => Promise<unknown>): Promise<Recorded> {
    if (this.unrecorded >= UNRECORDED_MAX) {
      notRecorded.inc();
      return 'continued';
    }
    this.unrecorded += 1;
    const recorded = this.retryUntilRecorded(write)
      .catch((error: unknown) => {
        notRecorded.inc();
        this.logger.error('message was sent and cannot be recorded', { reason: databaseReason(error) });
      })
      .finally(() => (this.unrecorded -= 1));
    await endedWithin(this.isDown ? 0 : CONTINUE_AFTER_MS, recorded);
    return 'continued';
  }

  /** Undefined where the message costs nothing. */
  private ledgerEntries(message: Message, ending: Ending | undefined): readonly LedgerEntry[] | undefined {
    if (ending === undefined) return undefined;
    const day = isoDate(this.spending.today().day);
    const entries = ledgerEntriesOf(message, { ending, providers: this.config.providers, day });
    return entries.length === 0 ? undefined : entries;
  }

  private afterEnding(message: Message, ending: Ending | undefined, ledger: readonly LedgerEntry[] = []): void {
    if (ending === undefined) return;
    this.spending.settle(message, ledger);
    noteEnding(message, ending, { ledger, config: this.config });
    if (message.callbackUrl !== undefined) this.callbacks.wake();
  }

  /** Inserts that cannot lose a key: all of them are written. */
  private keylessInserts(statement: PreparedStatement): GroupCommit<Entry<InsertRow>, boolean> {
    const commit = async (entries: Entry<InsertRow>[]): Promise<boolean[]> => {
      await this.execute(statement, entries);
      return entries.map(() => true);
    };
    return new GroupCommit(commit, BATCH_MAX, isRefusedQuery);
  }

  /** @returns for each row whether the statement returned its id */
  private async commit(statement: PreparedStatement, entries: Entry<InsertRow | ChangeRow>[]): Promise<boolean[]> {
    const done = new Set(idsSchema.parse(await this.execute(statement, entries)).map(({ id }) => id));
    return entries.map(({ row }) => done.has(row.id));
  }

  private async execute(statement: PreparedStatement, entries: Entry<InsertRow | ChangeRow>[]): Promise<unknown[]> {
    try {
      journalStatements.inc();
      batchRows.observe(entries.length);
      const startedMs = performance.now();
      const rows = await statement.execute(this.db, valuesOf(entries));
      statementDuration.observe((performance.now() - startedMs) / 1_000);
      return rows;
    } catch (error) {
      this.noteFailure(error);
      throw error;
    }
  }

  /** Down until a row as large as a message can be written: a standby and a full disk still answer queries. */
  private async probe(error: unknown): Promise<void> {
    this.outage.failed({ reason: databaseReason(error) });
    while (!this.isClosed && !(await this.canWrite())) await sleep(PROBE_MS);
    if (!this.isClosed) this.outage.recovered();
    this.probing = undefined;
  }

  private async canWrite(): Promise<boolean> {
    try {
      await inTransaction(this.db, async (tx) => {
        for (const statement of probeStatements()) await tx.execute(statement);
      });
      return true;
    } catch (error) {
      return isRefusedQuery(error);
    }
  }
}

/** Waits for a record for as long as its caller waits. The record goes on being written after that. */
function withinDeadline(recorded: Promise<unknown>): Promise<Recorded> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, RECORD_DEADLINE_MS, 'late' as const);
    recorded.finally(() => clearTimeout(timer)).then(() => resolve('recorded'), reject);
  });
}

function endedWithin(ms: number, work: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    void work.finally(() => clearTimeout(timer)).then(() => resolve());
  });
}
