import { z } from 'zod';
import { type Announcement, type AnnouncementReader, type Settlement, waitMsOf } from '#quota';
import { bodyOf, numberOf } from './answer-values.js';
import { type Compiled, compileExpression, ExpressionError } from './expressions.js';
import { type Outcome, outcomeOf } from './outcome.js';
import type { Answer } from './undici-adapter.js';

/** The result of one send, for the caller and for the quota. `reason` is for people and names no host. */
export type SendResult = {
  settlement: Settlement;
  httpStatus: number | null;
  /** When the request was repeated because its first answer was lost, on the monotonic clock. */
  repeatedAtMs?: number;
} & (
  | { outcome: 'delivered'; response: unknown; costMicros: number | undefined }
  /** `detail`: the provider's own words. */
  | { outcome: 'rejected'; reason: string; detail: string }
  | { outcome: Exclude<Outcome, 'delivered' | 'rejected'>; reason: string }
);

export interface AnswerSource {
  /** Whether the provider speaks the small contract: 200 `{"ok": true, "response": …}`, 429. */
  isSmallContract: boolean;
  response: string | undefined;
  cost: string | undefined;
  outcomes: readonly { when: string; outcome: ReadOutcome; retryAfterMs?: string | undefined }[];
  /** Masks secrets: providers quote keys in their errors. */
  redact: Redact;
}

type Redact = (text: string) => string;

export type AnswerReader = (
  status: number,
  answer: Answer,
  readAnnouncement: AnnouncementReader,
) => SendResult | Promise<SendResult>;

/** Outcomes that an answer can have. */
type ReadOutcome = Exclude<Outcome, 'notSent'>;

/** What response expressions see. */
interface AnswerContext {
  status: number;
  headers: Answer['headers'];
  body: unknown;
}

/** Longest text of a provider that a caller gets. */
const DETAIL_MAX_CHARS = 500;

/**
 * Compiles how the answers of a provider are read.
 * @throws ExpressionError for a syntax error
 */
export function compileAnswer({ isSmallContract, response, cost, outcomes, redact }: AnswerSource): AnswerReader {
  if (isSmallContract) {
    return (status, answer, readAnnouncement) => readSmallContract(status, answer, { readAnnouncement, redact });
  }
  const rules = outcomes.map(({ when, outcome, retryAfterMs }) => ({
    when: compileExpression(when),
    outcome,
    retryAfterMs: retryAfterMs === undefined ? undefined : compileExpression(retryAfterMs),
  }));
  const expressions = {
    response: response === undefined ? undefined : compileExpression(response),
    cost: cost === undefined ? undefined : compileExpression(cost),
  };
  return (status, answer, readAnnouncement) =>
    read(status, answer, { rules, ...expressions, redact, readAnnouncement });
}

interface Rule {
  when: Compiled;
  outcome: ReadOutcome;
  retryAfterMs: Compiled | undefined;
}

interface Compilation {
  rules: readonly Rule[];
  response: Compiled | undefined;
  cost: Compiled | undefined;
  redact: Redact;
  readAnnouncement: AnnouncementReader;
}

async function read(
  status: number,
  { headers, text }: Answer,
  { rules, response, cost, redact, readAnnouncement }: Compilation,
): Promise<SendResult> {
  const context: AnswerContext = { status, headers, body: bodyOf(text) };
  const announced = readAnnouncement(headers);
  try {
    const rule = await firstMatch(rules, context);
    const waitMs = await waitOf(rule, context);
    const told = waitMs === undefined ? announced : { ...announced, retryAfterMs: waitMs };
    const outcome: ReadOutcome = rule?.outcome ?? outcomeOf({ status, namesWait: waitMsOf(announced) !== undefined });
    if (outcome !== 'delivered') return undelivered(outcome, { status, text, announced: told, redact });
    const value = response === undefined ? context.body : await response.evaluate(context);
    const settlement = { outcome: 'accepted', announced } as const;
    if (value === undefined) {
      return { outcome: 'failed', httpStatus: status, reason: 'answer lacks what "response" names', settlement };
    }
    return {
      outcome: 'delivered',
      httpStatus: status,
      response: value,
      costMicros: await costOf(cost, context),
      settlement,
    };
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    const reason = printable(redact(error.message));
    return { outcome: 'failed', httpStatus: status, reason, settlement: { outcome: 'unknown' } };
  }
}

async function firstMatch(rules: readonly Rule[], context: AnswerContext): Promise<Rule | undefined> {
  for (const rule of rules) if (await rule.when.evaluate(context)) return rule;
  return undefined;
}

async function waitOf(rule: Rule | undefined, context: AnswerContext): Promise<number | undefined> {
  const waitMs = numberOf(await rule?.retryAfterMs?.evaluate(context));
  return waitMs === undefined ? undefined : Math.ceil(waitMs);
}

/** Undefined where the answer does not say: then the configured price counts. */
async function costOf(cost: Compiled | undefined, context: AnswerContext): Promise<number | undefined> {
  const micros = numberOf(await cost?.evaluate(context));
  return micros === undefined ? undefined : Math.round(micros);
}

function undelivered(
  outcome: Exclude<ReadOutcome, 'delivered'>,
  {
    status,
    text,
    announced,
    redact,
  }: { status: number; text: string; announced: Announcement | undefined; redact: Redact },
): SendResult {
  const isRedirect = status >= 300 && status <= 399;
  const reason = isRedirect ? `HTTP ${status}: redirects are not followed` : `HTTP ${status}`;
  switch (outcome) {
    case 'refused':
      return { outcome, httpStatus: status, reason, settlement: { outcome: 'refused', announced } };
    case 'rejected':
      return {
        outcome,
        httpStatus: status,
        reason,
        detail: explanationOf(text, redact),
        settlement: { outcome: 'unknown' },
      };
    // An account that may not send is not counted.
    case 'unauthorized':
      return { outcome, httpStatus: status, reason, settlement: { outcome: 'notSent' } };
    // The provider may have counted the request before it failed.
    default:
      return { outcome, httpStatus: status, reason, settlement: { outcome: 'unknown' } };
  }
}

const smallContractSchema = z.object({
  ok: z.literal(true, 'answer lacks ok: true'),
  response: z.string('answer lacks a response text'),
});

function readSmallContract(
  status: number,
  { headers, text }: Answer,
  { readAnnouncement, redact }: Pick<Compilation, 'readAnnouncement' | 'redact'>,
): SendResult {
  const announced = readAnnouncement(headers);
  const outcome = outcomeOf({ status, namesWait: waitMsOf(announced) !== undefined });
  if (outcome !== 'delivered') return undelivered(outcome, { status, text, announced, redact });
  const settlement = { outcome: 'accepted', announced } as const;
  const body = bodyOf(text);
  if (typeof body !== 'object' || body === null) {
    return { outcome: 'failed', httpStatus: status, reason: 'answer is no JSON object', settlement };
  }
  const { success, data, error } = smallContractSchema.safeParse(body);
  if (success)
    return { outcome: 'delivered', httpStatus: status, response: data.response, costMicros: undefined, settlement };
  return { outcome: 'failed', httpStatus: status, reason: error.issues[0]?.message ?? 'answer is invalid', settlement };
}

/** Where providers put their explanation: `error`, `error.message`, `message`, `detail`, `description`, `errors[0]`, `title`. */
const explanationSchema = z.object({
  error: z
    .union([z.string(), z.object({ message: z.string() }).transform(({ message }) => message)])
    .optional()
    .catch(undefined),
  message: z.string().optional().catch(undefined),
  detail: z.string().optional().catch(undefined),
  description: z.string().optional().catch(undefined),
  title: z.string().optional().catch(undefined),
  errors: z
    .array(
      z.union([
        z.string(),
        z.object({ message: z.string() }).transform(({ message }) => message),
        z.object({ detail: z.string() }).transform(({ detail }) => detail),
      ]),
    )
    .optional()
    .catch(undefined),
});

/** Why a provider rejected a message, in its own words, bounded. */
function explanationOf(text: string, redact: Redact): string {
  const { success, data } = explanationSchema.safeParse(bodyOf(text));
  const found = success
    ? (data.error ?? data.message ?? data.detail ?? data.description ?? data.errors?.[0] ?? data.title)
    : undefined;
  return printable(redact(found ?? text)).trim() || 'The provider gave no explanation.';
}

/** A bounded text that logs and Postgres can take: neither NUL nor half a surrogate pair fits into `jsonb`. */
export function printable(text: string): string {
  return text
    .slice(0, DETAIL_MAX_CHARS)
    .toWellFormed()
    .replaceAll(/\p{Cc}+/gu, ' ');
}
