import { Agent, request } from 'undici';
import { z } from 'zod';

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

const ANSWER_MS = 20_000;

const answerSchema = z
  .object({ id: z.string(), provider: z.string(), code: z.string() })
  .partial()
  .catch(() => ({}));

/** Posts messages, each to the next gateway. */
export class Poster {
  private readonly agent = new Agent({ connections: 64, headersTimeout: ANSWER_MS, bodyTimeout: ANSWER_MS });
  private turn = 0;

  constructor(
    private readonly origins: readonly string[],
    private readonly cookie: string,
  ) {}

  async post(body: object, headers: Record<string, string> = {}): Promise<Answer> {
    const origin = this.origins[this.turn % this.origins.length] ?? '';
    this.turn += 1;
    try {
      const answer = await request(`${origin}/messages`, {
        method: 'POST',
        headers: { cookie: this.cookie, 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
        dispatcher: this.agent,
      });
      const said = answerSchema.parse(await answer.body.json());
      return { atMs: Date.now(), status: answer.statusCode, ...said };
    } catch (error) {
      const isRefused = error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED';
      return { atMs: Date.now(), status: isRefused ? 'refused' : 'broken' };
    }
  }

  close(): Promise<void> {
    return this.agent.destroy();
  }
}
