import { setTimeout as delay } from 'node:timers/promises';
import type { Answer, Poster, Status } from '../poster.js';
import type { PlannedMessage } from './plan.js';

export interface SentMessage extends PlannedMessage {
  /** To each call, in order. */
  answers: Answer[];
  /** What it was left with, before it asked once more. */
  outcome: Status;
}

/** As long as a message may be in the hands of a pod, and until another has finished it. */
const TRIES = 60;
const PAUSE_MS = 500;
/** What a key is for: the first call may still be under way, or is lost, or came to a pod in trouble. */
const WORTH_REPEATING = new Set<Status>(['broken', 409, 429, 500, 502, 503, 504]);

/** Sends messages as a client does that wants each of them delivered once. */
export class Client {
  constructor(private readonly poster: Poster) {}

  async send(planned: PlannedMessage): Promise<SentMessage> {
    const post = this.prepare(planned);
    const answers = await untilAnswered(planned, post);
    const outcome = answers.at(-1)?.status ?? 'broken';
    if (planned.isRepeated) answers.push(...(await untilAnswered(planned, post)));
    return { ...planned, answers, outcome };
  }

  /** A repeated call has the same body: its deadline was chosen when it was first made. */
  private prepare({ text, key, isAsync, deliverInMs, isNeverPaid }: PlannedMessage): () => Promise<Answer> {
    const deliverBy = deliverInMs && new Date(Date.now() + deliverInMs).toISOString();
    const body = { message: text, deliverBy, ...(isNeverPaid && { paid: 'never' }) };
    const headers = {
      ...(key !== undefined && { 'idempotency-key': key }),
      ...(isAsync && { prefer: 'respond-async' }),
    };
    return () => this.poster.post(body, headers);
  }
}

async function untilAnswered(planned: PlannedMessage, post: () => Promise<Answer>): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (let tries = 0; tries < TRIES; tries += 1) {
    const answer = await post();
    answers.push(answer);
    if (!isWorthRepeating(planned, answer)) break;
    await delay(PAUSE_MS);
  }
  return answers;
}

/** Without a key only what was certainly not sent. */
function isWorthRepeating({ key }: PlannedMessage, { status, code }: Answer): boolean {
  if (status === 'refused') return true;
  return key !== undefined && WORTH_REPEATING.has(status) && code !== 'deadline_missed';
}
