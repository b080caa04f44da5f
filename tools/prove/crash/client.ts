import { setTimeout as delay } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { z } from 'zod';
import type { PlannedMessage } from './plan.js';

/** `refused`: there was no connection, so nothing was sent. `broken`: it ended, or took too long, without an answer. */
export type Status = number | 'refused' | 'broken';

export interface Answer {
  atMs: number;
  status: Status;
  /** What the answer said of the message, or of the problem. */
  id?: string | undefined;
  provider?: string | undefined;
  code?: string | undefined;
}

export interface SentMessage extends PlannedMessage {
  /** To each call, in order. */
  answers: Answer[];
  /** What it was left with, before it asked once more. */
  outcome: Status;
}

/** As long as a message may be in the hands of a pod, and until another has finished it. */
const TRIES = 60;
const PAUSE_MS = 500;
const ANSWER_MS = 20_000;
/** What a key is for: the first call may still be under way, or is lost, or came to a pod in trouble. */
const WORTH_REPEATING = new Set<Status>(['broken', 409, 429, 500, 502, 503, 504]);

const answerSchema = z
  .object({ id: z.string(), provider: z.string(), code: z.string() })
  .partial()
  .catch(() => ({}));

/** Sends messages as a client does that wants each of them delivered once. */
export class Client {
  private readonly agent = new Agent({ connections: 64, headersTimeout: ANSWER_MS, bodyTimeout: ANSWER_MS });
  private turn = 0;

  constructor(
    private readonly origins: readonly string[],
    private readonly cookie: string,
  ) {}

  async send(planned: PlannedMessage): Promise<SentMessage> {
    const post = this.prepare(planned);
    const answers = await untilAnswered(planned, post);
    const outcome = answers.at(-1)?.status ?? 'broken';
    if (planned.isRepeated) answers.push(...(await untilAnswered(planned, post)));
    return { ...planned, answers, outcome };
  }

  close(): Promise<void> {
    return this.agent.destroy();
  }

  /** A repeated call has the same body: its deadline was chosen when it was first made. */
  private prepare({ text, key, isAsync, deliverInMs, isNeverPaid }: PlannedMessage): () => Promise<Answer> {
    const deliverBy = deliverInMs && new Date(Date.now() + deliverInMs).toISOString();
    const body = JSON.stringify({ message: text, deliverBy, ...(isNeverPaid && { paid: 'never' }) });
    const headers = {
      cookie: this.cookie,
      'content-type': 'application/json',
      ...(key !== undefined && { 'idempotency-key': key }),
      ...(isAsync && { prefer: 'respond-async' }),
    };
    return () => this.post(body, headers);
  }

  private async post(body: string, headers: Record<string, string>): Promise<Answer> {
    const origin = this.origins[this.turn % this.origins.length] ?? '';
    this.turn += 1;
    try {
      const answer = await request(`${origin}/messages`, { method: 'POST', body, headers, dispatcher: this.agent });
      const said = answerSchema.parse(await answer.body.json());
      return { atMs: Date.now(), status: answer.statusCode, ...said };
    } catch (error) {
      const isRefused = error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED';
      return { atMs: Date.now(), status: isRefused ? 'refused' : 'broken' };
    }
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
