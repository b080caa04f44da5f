import { setTimeout as delay } from 'node:timers/promises';
import type { Answer, Poster, Status } from '../poster.js';
import type { PlannedMessage } from './crash-plan.js';

export interface SentMessage extends PlannedMessage {
  /** The answer to each call, in order. */
  answers: Answer[];
  /** The last answer before the extra call of `isRepeated`. */
  outcome: Status;
}

/** Together longer than a pod may hold a message plus the time another pod needs to finish it. */
const ATTEMPTS_MAX = 60;
const PAUSE_MS = 500;
/** With a key the client repeats the call: the first one may be in flight, lost, or at a pod in trouble. */
const WORTH_REPEATING = new Set<Status>(['broken', 409, 429, 500, 502, 503, 504]);

/** Sends a message like a client that wants it delivered exactly once. */
export async function sendLikeClient(poster: Poster, planned: PlannedMessage): Promise<SentMessage> {
  const post = requestOf(poster, planned);
  const answers = await untilAnswered(planned, post);
  const outcome = answers.at(-1)?.status ?? 'broken';
  if (planned.isRepeated) answers.push(...(await untilAnswered(planned, post)));
  return { ...planned, answers, outcome };
}

/** All calls have the same body: the first one chooses the deadline. */
function requestOf(
  poster: Poster,
  { text, key, isAsync, deliverInMs, isNeverPaid }: PlannedMessage,
): () => Promise<Answer> {
  const deliverBy = deliverInMs && new Date(Date.now() + deliverInMs).toISOString();
  const body = { message: text, deliverBy, ...(isNeverPaid && { paid: 'never' }) };
  const headers = {
    ...(key !== undefined && { 'idempotency-key': key }),
    ...(isAsync && { prefer: 'respond-async' }),
  };
  return () => poster.post(body, headers);
}

async function untilAnswered(planned: PlannedMessage, post: () => Promise<Answer>): Promise<Answer[]> {
  const answers: Answer[] = [];
  while (answers.length < ATTEMPTS_MAX) {
    const answer = await post();
    answers.push(answer);
    if (!isWorthRepeating(planned, answer)) break;
    await delay(PAUSE_MS);
  }
  return answers;
}

/** Without a key only a message that was certainly not sent. */
function isWorthRepeating({ key }: PlannedMessage, { status, code }: Answer): boolean {
  if (status === 'refused') return true;
  return key !== undefined && WORTH_REPEATING.has(status) && code !== 'deadline_missed';
}
