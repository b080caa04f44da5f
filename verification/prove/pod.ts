// One pod of a proof: `node pod.js`, told what to do by its parent. Sends each arrival to the free provider if its
// strategy says so, and reports what happened, message by message: it may be killed at any moment.
import { once } from 'node:events';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { request } from 'undici';
import { readAnnouncement, type Settlement } from '#quota';
import { wasNotSent } from '../../apps/gateway/src/providers/undici-adapter.js';
import type { MessageRecord, PodOrder, PodReport, PodStart } from './message-record.js';
import { STRATEGIES, type Strategy } from '../testbed/strategies.js';

/** What the paid provider takes to answer, where a message follows the last one. */
const PAID_MS = 20;

process.once('disconnect', () => process.exit(0));
const [order] = (await once(process, 'message')) as [PodOrder];
const strategy: Strategy = STRATEGIES[order.strategy](order.setup);
await Promise.all([strategy.ready(), warmUp()]);
const stalls = monitorEventLoopDelay({ resolution: 5 });
report('ready');
const [{ startAtMs }] = (await once(process, 'message')) as [PodStart];
stalls.enable();
await (order.atOnce === undefined ? asTheyCome() : oneAfterTheOther(order.atOnce));
const stallMs = stalls.max / 1e6;
// What its last settlements cost is the price of a pod's end, not of a message.
const summary = { trips: strategy.trips(), tripsWhileBlocked: strategy.tripsWhileBlocked(), stallMs };
await strategy.close();
process.send?.({ summary } satisfies PodReport, () => process.disconnect());

/** A connection is open and the client compiled before the first message. */
async function warmUp(): Promise<void> {
  const { body } = await request(new URL('/stats', order.providerUrl));
  await body.dump();
}

async function asTheyCome(): Promise<void> {
  await Promise.all(
    order.arrivals.map(async ({ id, atMs }) => {
      await delay(startAtMs + atMs - instantMs());
      await handle(id);
    }),
  );
}

async function oneAfterTheOther(atOnce: number): Promise<void> {
  await delay(startAtMs - instantMs());
  const left = order.arrivals.toReversed();
  const worker = async (): Promise<void> => {
    for (let next = left.pop(); next !== undefined; next = left.pop()) {
      const { outcome } = await handle(next.id);
      if (outcome !== 'free') await delay(PAID_MS);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

async function handle(id: string): Promise<MessageRecord> {
  const arrivedAtMs = instantMs();
  const settle = await strategy.ask();
  const decidedAtMs = instantMs();
  const base = { id, arrivedAtMs, decidedAtMs, trips: strategy.trips() };
  if (settle === undefined) return told({ ...base, outcome: 'paid' });
  const { settlement, outcome } = await send(id);
  settle(settlement);
  return told({ ...base, outcome, answeredAtMs: instantMs() });
}

async function send(id: string): Promise<{ settlement: Settlement; outcome: MessageRecord['outcome'] }> {
  try {
    const { statusCode, headers, body } = await request(order.providerUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': id },
      body: '{"message":"proof"}',
      signal: AbortSignal.timeout(order.setup.timeoutMs),
    });
    await body.dump();
    const announced = readAnnouncement(headers);
    if (statusCode === 200) return { settlement: { outcome: 'accepted', announced }, outcome: 'free' };
    if (statusCode === 429) return { settlement: { outcome: 'refused', announced }, outcome: 'refused' };
    return { settlement: { outcome: 'unknown' }, outcome: 'failed' };
  } catch (error) {
    if (wasNotSent(error)) return { settlement: { outcome: 'notSent' }, outcome: 'failed' };
    return { settlement: { outcome: 'unknown' }, outcome: 'unknown' };
  }
}

function told(record: MessageRecord): MessageRecord {
  report({ record });
  return record;
}

function report(what: PodReport): void {
  process.send?.(what);
}

/** In ms since 1970, as the provider counts. */
function instantMs(): number {
  return performance.timeOrigin + performance.now();
}
