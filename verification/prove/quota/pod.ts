// One pod of the quota proof, started by `PodProcess`. It asks its limiter for each message, sends those that get a permit to
// the free provider, and reports message by message, because it may be killed at any moment.
import { once } from 'node:events';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { request } from 'undici';
import { announcementReader, type Settlement } from '#quota';
import { type Limiter, LIMITERS, quotasOf } from '../../testbed/limiters.js';
import type { MessageRecord, PodOrder, PodReport, PodStart } from './pod-protocol.js';

process.once('disconnect', () => process.exit(0));
const [order] = (await once(process, 'message')) as [PodOrder];
const limiter: Limiter = LIMITERS[order.limiter](order.setup);
const readAnnouncement = announcementReader(quotasOf(order.setup));
await Promise.all([limiter.ready(), warmUp()]);
const stalls = monitorEventLoopDelay({ resolution: 5 });
report('ready');
const [{ startAtMs }] = (await once(process, 'message')) as [PodStart];
stalls.enable();
await Promise.all(order.arrivals.map(handle));
// Before `close`: the trips of the last settlements are the cost of a stop, not of a message.
const summary = { trips: limiter.trips(), stallMs: stalls.max / 1e6 };
await limiter.close();
process.send?.({ summary } satisfies PodReport, () => process.disconnect());

/** Opens a connection and compiles the client before the first message. */
async function warmUp(): Promise<void> {
  const { body } = await request(new URL('/stats', order.providerUrl));
  await body.dump();
}

async function handle({ id, atMs, tokens }: PodOrder['arrivals'][number]): Promise<void> {
  await delay(startAtMs + atMs - instantMs());
  const arrivedAtMs = instantMs();
  const settle = await limiter.ask(tokens?.estimated);
  const base = { id, tokens: tokens?.used, arrivedAtMs, decidedAtMs: instantMs(), trips: limiter.trips() };
  if (settle === undefined) return report({ record: { ...base, outcome: 'paid' } });
  const { settlement, outcome } = await send(id, tokens?.used);
  settle(settlement);
  report({ record: { ...base, outcome, answeredAtMs: instantMs() } });
}

async function send(
  id: string,
  tokens?: number,
): Promise<{ settlement: Settlement; outcome: MessageRecord['outcome'] }> {
  try {
    const { statusCode, headers, body } = await request(order.providerUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': id },
      body: JSON.stringify({ message: 'x'.repeat(tokens ?? 5) }),
      signal: AbortSignal.timeout(order.setup.timeoutMs),
    });
    await body.dump();
    const announced = readAnnouncement(headers);
    return statusCode === 200
      ? {
          settlement: { outcome: 'accepted', announced, ...(tokens !== undefined && { used: { tokens } }) },
          outcome: 'free',
        }
      : { settlement: { outcome: 'refused', announced }, outcome: 'refused' };
  } catch {
    return { settlement: { outcome: 'unknown' }, outcome: 'unknown' };
  }
}

function report(what: PodReport): void {
  process.send?.(what);
}

/** In ms since 1970, by the same clock as the provider's. */
function instantMs(): number {
  return performance.timeOrigin + performance.now();
}
