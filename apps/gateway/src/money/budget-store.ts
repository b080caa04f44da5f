import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { RedisConnection } from '#redis';
import { GroupCommit } from '../group-commit.js';

const BATCH_MAX = 200;
/** How long a batch waits for more operations: one write to a socket costs more than the rest of a command. */
const GATHER_MS = 1;
/** How long a settlement or release waits for a batch to go with. */
const FLUSH_MS = 10;
/** Pause after Redis did not answer. */
const RETRY_MS = 500;
/** Most operations that wait for Redis. What is dropped is settled from the journal when its hold expires. */
const UNANSWERED_MAX = 2_000;
/** See `budgets.lua`. */
const REREAD_AFTER_MS = 2_000;
/** One hash slot of a cluster: a message may be held in several budgets at once. */
export const BUDGET_KEYS = {
  opened: 'octo:{budgets}:opened',
  spent: 'octo:{budgets}:spent',
  holds: 'octo:{budgets}:holds',
  expiring: 'octo:{budgets}:expiring',
};
const KEYS = Object.values(BUDGET_KEYS);

/** A limit as the script needs it; a window without a limit is left out. */
export interface StoredLimit {
  id: string;
  dayMicros?: number;
  monthMicros?: number;
}

export type BudgetOperation =
  | { op: 'open'; waitMs: number }
  | {
      op: 'hold';
      message: string;
      micros: number;
      /** Enough where nothing else is held: one dear message must not keep all others out. */
      priceMicros: number;
      /** Of a message that the provider may have delivered already: no limit applies. */
      isRepeat: boolean;
      expiresInMs: number;
      day: number;
      dayStartMs: number;
      dayEndMs: number;
      limits: readonly StoredLimit[];
      /** Returned when the hold expires. */
      paidFor: string;
    }
  | { op: 'release'; message: string; micros: number }
  | { op: 'settle'; message: string; micros: number; day: number; budgets: readonly string[]; onlyIfHeld: boolean }
  | { op: 'read'; budget: string; day: number }
  | { op: 'found'; budget: string; day: number; dayMicros: number; monthMicros: number }
  | { op: 'expired'; count: number; expiresInMs: number };

const expiredHoldSchema = z.object({ id: z.uuid(), micros: z.number(), paidFor: z.string() });
export type ExpiredHold = z.infer<typeof expiredHoldSchema>;

const resultSchema = z.discriminatedUnion('result', [
  z.object({ result: z.literal('ok') }),
  z.object({ result: z.literal('ready') }),
  z.object({ result: z.literal('held') }),
  z.object({ result: z.literal('closed'), waitMs: z.number() }),
  z.object({ result: z.literal('clock'), nowMs: z.number() }),
  z.object({ result: z.literal('unknown'), budget: z.string() }),
  z.object({ result: z.literal('exhausted'), budget: z.string(), window: z.enum(['day', 'month']) }),
  z.object({ result: z.literal('expired'), nowMs: z.number(), messages: z.array(expiredHoldSchema).default([]) }),
]);
export type BudgetResult = z.infer<typeof resultSchema>;

/** The answer to most operations. */
const OK: BudgetResult = { result: 'ok' };

type Command = (...args: (string | number)[]) => Promise<string>;

/**
 * The budgets in Redis. Operations that come while a batch is in flight form the next one, and those that need no answer go
 * with the next batch, or soon without one.
 */
export class BudgetStore {
  private readonly batches: GroupCommit<BudgetOperation | undefined, BudgetResult>;
  /** Not carried out yet, in order. */
  private unanswered: BudgetOperation[] = [];
  private timer: NodeJS.Timeout | undefined;
  private isClosed = false;

  /** @param forgottenMs how long nothing is held after Redis has lost everything: until all messages in flight are recorded */
  constructor(redis: RedisConnection, forgottenMs: () => number) {
    const lua = readFileSync(new URL('budgets.lua', import.meta.url), 'utf8');
    redis.defineCommand('octoBudgets', { numberOfKeys: KEYS.length, lua });
    const script: Command = (...args) => (redis as unknown as { octoBudgets: Command }).octoBudgets(...args);
    const commit = async (asked: (BudgetOperation | undefined)[]): Promise<BudgetResult[]> => {
      const before = this.unanswered;
      this.unanswered = [];
      const operations = [...before, ...asked.filter((operation) => operation !== undefined)];
      try {
        const results: unknown[] = JSON.parse(
          await script(...KEYS, forgottenMs(), REREAD_AFTER_MS, JSON.stringify(operations)),
        );
        let next = before.length;
        return asked.map((operation) => (operation === undefined ? OK : resultOf(results[next++])));
      } catch (error) {
        // They may have been carried out: a settlement twice counts too much, until the budget is read from the ledger again.
        this.unanswered = [...before, ...this.unanswered];
        throw error;
      }
    };
    this.batches = new GroupCommit(commit, BATCH_MAX, undefined, (run) => void setTimeout(run, GATHER_MS));
  }

  /** @throws Error when Redis does not answer: the operation may have been carried out */
  run(operation: BudgetOperation): Promise<BudgetResult> {
    return this.batches.add(operation);
  }

  /** Queues an operation that needs no answer, and repeats it until Redis answers. */
  later(operation: BudgetOperation): void {
    if (this.unanswered.length < UNANSWERED_MAX) this.unanswered.push(operation);
    this.flushIn(FLUSH_MS);
  }

  async close(): Promise<void> {
    this.isClosed = true;
    clearTimeout(this.timer);
    if (this.unanswered.length > 0) await this.batches.add(undefined).catch(() => {});
  }

  private flushIn(delayMs: number): void {
    if (this.isClosed) return;
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      if (this.unanswered.length > 0) this.batches.add(undefined).catch(() => this.flushIn(RETRY_MS));
    }, delayMs).unref();
  }
}

/** Without the schema where there is nothing to check: that is every message. */
function resultOf(result: unknown): BudgetResult {
  const isOk = typeof result === 'object' && result !== null && 'result' in result && result.result === 'ok';
  return isOk ? OK : resultSchema.parse(result);
}

/** A budget as the script keeps it; see `budgets.lua`. */
export function unpackBudget(packed: string) {
  const [state, ...numbers] = packed.split(' ');
  const [day = 0, dayMicros = 0, monthMicros = 0, heldMicros = 0] = numbers.map(Number);
  return { isReady: state === 'ready', day, dayMicros, monthMicros, heldMicros };
}
