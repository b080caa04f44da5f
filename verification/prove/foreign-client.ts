import { setTimeout as delay } from 'node:timers/promises';
import { request } from 'undici';
import { generator } from './arrivals.js';

export interface ForeignRequest {
  atMs: number;
  isAccepted: boolean;
}

/** Somebody else with the same key: sends at random moments, and takes no refusal for an answer. */
export class ForeignClient {
  readonly requests: ForeignRequest[] = [];
  private readonly stopping = new AbortController();
  private running: Promise<void> | undefined;

  constructor(
    private readonly url: string,
    private readonly options: { perSecond: number; seed: number },
  ) {}

  start(): void {
    this.running = this.run();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  private async run(): Promise<void> {
    const random = generator(this.options.seed);
    while (!this.stopping.signal.aborted) {
      await this.send();
      await delay((-Math.log(1 - random()) * 1_000) / this.options.perSecond);
    }
  }

  private async send(): Promise<void> {
    const atMs = performance.timeOrigin + performance.now();
    const headers = { 'content-type': 'application/json' };
    const { statusCode, body } = await request(this.url, { method: 'POST', headers, body: '{"message":"foreign"}' });
    await body.dump();
    this.requests.push({ atMs, isAccepted: statusCode === 200 });
  }
}
