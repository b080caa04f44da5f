import { Agent, request } from 'undici';
import { z } from 'zod';

/** `refused`: no connection, so nothing was sent. `broken`: the connection ended, or no answer came in time. */
export type Status = number | 'refused' | 'broken';

export interface Answer {
  atMs: number;
  status: Status;
  id?: string | undefined;
  provider?: string | undefined;
  /** Of a problem. */
  code?: string | undefined;
}

const ANSWER_TIMEOUT_MS = 20_000;

const answerSchema = z
  .object({ id: z.string(), provider: z.string(), code: z.string() })
  .partial()
  .catch(() => ({}));

/** Posts messages to all gateways in turn. */
export class Poster {
  private readonly agent = new Agent({
    connections: 64,
    headersTimeout: ANSWER_TIMEOUT_MS,
    bodyTimeout: ANSWER_TIMEOUT_MS,
  });
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
      const fields = answerSchema.parse(await answer.body.json());
      return { atMs: Date.now(), status: answer.statusCode, ...fields };
    } catch (error) {
      const isRefused = error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED';
      return { atMs: Date.now(), status: isRefused ? 'refused' : 'broken' };
    }
  }

  close(): Promise<void> {
    return this.agent.destroy();
  }
}
