// One pod of a proof: `node pod.js`, told what to do by its parent. Sends each arrival to the free provider if its
// strategy says so, and reports what happened.
import { request } from 'undici';
import type { Settlement } from '#quota';
import { type Setup, STRATEGIES, type Strategy, type StrategyName } from './strategies.js';

export interface PodOrder {
  strategy: StrategyName;
  setup: Setup;
  providerUrl: string;
  /** When messages come, in ms after the start, for this pod. */
  arrivals: { id: string; atMs: number }[];
  /** Wall-clock instant at which arrivals are counted from. */
  startAtMs: number;
}

export type Outcome = 'free' | 'paid' | 'refused' | 'unknown' | 'failed';

export interface PodReport {
  outcomes: { id: string; outcome: Outcome }[];
  trips: number;
}

process.once('message', (order: PodOrder) => void work(order));
process.once('disconnect', () => process.exit(0));
process.send?.('ready');

async function work({ strategy, setup, providerUrl, arrivals, startAtMs }: PodOrder): Promise<void> {
  const chosen = STRATEGIES[strategy](setup);
  const outcomes: PodReport['outcomes'] = [];
  await Promise.all(
    arrivals.map(async ({ id, atMs }) => {
      await until(startAtMs + atMs);
      outcomes.push({ id, outcome: await deliver(chosen, id, providerUrl, setup.timeoutMs) });
    }),
  );
  const report: PodReport = { outcomes, trips: chosen.trips() };
  await chosen.close();
  process.send?.(report, () => process.exit(0));
}

function until(instantMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, instantMs - Date.now());
  });
}

async function deliver(strategy: Strategy, id: string, url: string, timeoutMs: number): Promise<Outcome> {
  const settle = await strategy.ask();
  if (settle === undefined) return 'paid';
  const { settlement, outcome } = await send(id, url, timeoutMs);
  settle(settlement);
  return outcome;
}

async function send(id: string, url: string, timeoutMs: number): Promise<{ settlement: Settlement; outcome: Outcome }> {
  try {
    const { statusCode, headers, body } = await request(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': id },
      body: '{"message":"proof"}',
      signal: AbortSignal.timeout(timeoutMs),
    });
    await body.dump();
    if (statusCode === 200) return { settlement: { outcome: 'accepted' }, outcome: 'free' };
    if (statusCode === 429) {
      const retryAfterMs = Number(headers['retry-after']) * 1_000 || undefined;
      return { settlement: { outcome: 'refused', retryAfterMs }, outcome: 'refused' };
    }
    return { settlement: { outcome: 'unknown' }, outcome: 'failed' };
  } catch {
    return { settlement: { outcome: 'unknown' }, outcome: 'unknown' };
  }
}
