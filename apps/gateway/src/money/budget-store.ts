import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { RedisConnection } from '#redis';
import { GroupCommit } from '../group-commit.js';

const BATCH_MAX = 200;
/** See `budgets.lua`. */
const REREAD_AFTER_MS = 2_000;
/** One hash slot of a cluster: a message may be held in several budgets at once. */
const KEYS = ['opened', 'spent', 'holds', 'expiring'].map((name) => `octo:{budgets}:${name}`);

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
  z.object({ result: z.literal('closed'), waitMs: z.number() }),
  z.object({ result: z.literal('clock'), nowMs: z.number() }),
  z.object({ result: z.literal('unknown'), budget: z.string() }),
  z.object({ result: z.literal('exhausted'), budget: z.string(), window: z.enum(['day', 'month']) }),
  z.object({ result: z.literal('expired'), messages: z.array(expiredHoldSchema).default([]) }),
]);
export type BudgetResult = z.infer<typeof resultSchema>;

type Command = (...args: (string | number)[]) => Promise<string>;

/** The budgets in Redis. Operations that come while a batch is in flight form the next one. */
export class BudgetStore {
  private readonly operations: GroupCommit<BudgetOperation, BudgetResult>;

  /** @param forgottenMs how long nothing is held after Redis has lost everything: until all messages in flight are recorded */
  constructor(redis: RedisConnection, forgottenMs: () => number) {
    const lua = readFileSync(new URL('budgets.lua', import.meta.url), 'utf8');
    redis.defineCommand('octoBudgets', { numberOfKeys: KEYS.length, lua });
    const run = (...args: (string | number)[]): Promise<string> =>
      (redis as unknown as { octoBudgets: Command }).octoBudgets(...args);
    this.operations = new GroupCommit(async (operations) => {
      const results = await run(...KEYS, forgottenMs(), REREAD_AFTER_MS, JSON.stringify(operations));
      return z.array(resultSchema).parse(JSON.parse(results));
    }, BATCH_MAX);
  }

  /** @throws Error when Redis does not answer: the operation may have been carried out */
  run(operation: BudgetOperation): Promise<BudgetResult> {
    return this.operations.add(operation);
  }
}
