import { setTimeout as delay } from 'node:timers/promises';
import { request } from 'undici';
import { seededRandom } from '../seeded-random.js';

export interface ForeignRequest {
  atMs: number;
  isAccepted: boolean;
}

const PER_SECOND = 10;

/** Another client of the same account: it sends at random moments, and goes on when it is refused. */
export async function sendForeign(
  url: string,
  { durationMs, seed }: { durationMs: number; seed: number },
): Promise<ForeignRequest[]> {
  const random = seededRandom(seed);
  const requests: ForeignRequest[] = [];
  const endMs = performance.now() + durationMs;
  while (performance.now() < endMs) {
    const atMs = performance.timeOrigin + performance.now();
    const headers = { 'content-type': 'application/json' };
    const { statusCode, body } = await request(url, { method: 'POST', headers, body: '{"message":"foreign"}' });
    await body.dump();
    requests.push({ atMs, isAccepted: statusCode === 200 });
    // Exponential gaps: a Poisson process.
    await delay((-Math.log(1 - random()) * 1_000) / PER_SECOND);
  }
  return requests;
}
