import type { Amounts } from '#quota';
import type { AnswerReader } from './answer-reader.js';
import { bodyOf, numberOf } from './answer-values.js';
import { type Compiled, compileExpression, ExpressionError } from './expressions.js';
import type { RequestContext } from './request-template.js';

/** A quota that counts an amount for each request, with JSONata expressions. */
export interface CountedAmount {
  name: string | undefined;
  unit: string;
  /** Before the send, of the message. */
  estimate?: string | undefined;
  /** Of the answer. */
  actual?: string | undefined;
}

/** Estimates what a message will use, by the names of the quotas that count amounts. */
export type AmountEstimate = (context: RequestContext) => Promise<Amounts>;

/**
 * Undefined where no quota has an estimate.
 * @throws ExpressionError for a syntax error
 */
export function compileEstimates(quotas: readonly CountedAmount[]): AmountEstimate | undefined {
  const estimates = compiled(quotas, ({ estimate }) => estimate);
  return estimates.length === 0 ? undefined : (context) => evaluateAll(estimates, context);
}

/**
 * Adds to the settlement of a counted request what its answer says it used.
 * @throws ExpressionError for a syntax error
 */
export function withUse(read: AnswerReader, quotas: readonly CountedAmount[]): AnswerReader {
  const actuals = compiled(quotas, ({ actual }) => actual);
  if (actuals.length === 0) return read;
  return async (status, answer, readAnnouncement) => {
    const result = await read(status, answer, readAnnouncement);
    const { settlement } = result;
    if (settlement.outcome !== 'accepted') return result;
    const used = await evaluateAll(actuals, { status, headers: answer.headers, body: bodyOf(answer.text) });
    return { ...result, settlement: { ...settlement, used } };
  };
}

type Named = readonly [name: string, expression: Compiled];

function compiled(
  quotas: readonly CountedAmount[],
  sourceOf: (quota: CountedAmount) => string | undefined,
): readonly Named[] {
  return quotas.flatMap((quota) => {
    const source = sourceOf(quota);
    return source === undefined || quota.name === undefined ? [] : [[quota.name, compileExpression(source)] as const];
  });
}

/** Leaves out what is no number, or fails: the quota then counts what recent requests used, or the estimate. */
async function evaluateAll(expressions: readonly Named[], context: unknown): Promise<Amounts> {
  const amounts = await Promise.all(
    expressions.map(async ([name, expression]) => [name, numberOf(await evaluate(expression, context))] as const),
  );
  return Object.fromEntries(amounts.flatMap(([name, amount]) => (amount === undefined ? [] : [[name, amount]])));
}

async function evaluate(expression: Compiled, context: unknown): Promise<unknown> {
  try {
    return await expression.evaluate(context);
  } catch (error) {
    if (error instanceof ExpressionError) return undefined;
    throw error;
  }
}
