import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { MessageRecord } from '#contracts';
import { finished, inParallel, login, postMessage, setFaults } from '../../../test/support/client.js';
import { type Stack, startStack } from '../../../test/support/stack.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { untilFreeIsBlocked, untilFreeIsOpen } from './quota-of.js';

const FREE_BLOCK_MS = 3_000;

let stack: Stack;
let gateway: string;
let paid: string;
let free: string;

beforeAll(async () => {
  stack = await startStack({ pods: 3, env: { FREE_LIMIT: '5', FREE_BLOCK_MS: String(FREE_BLOCK_MS) } });
  gateway = stack.origin.gateway;
  [paid, free] = await Promise.all([login(gateway, 'paid@octo.local'), login(gateway, 'free@octo.local')]);
});
afterAll(() => stack.stop());

beforeEach(() => setFaults(stack.origin.free, {}));

const soon = (ms: number): string => new Date(Date.now() + ms).toISOString();

/** Uses up free quota; at least two thirds of the block are left then. */
const untilBlocked = () => untilFreeIsBlocked(gateway, paid, (2 / 3) * FREE_BLOCK_MS);

describe('a message that may wait', () => {
  it('is sent at once when free quota is open and no other message waits', async () => {
    // Each pod learns within seconds that no other message waits.
    const isSentAtOnce = async (): Promise<boolean> => {
      await untilFreeIsOpen(gateway, paid);
      const { status, body } = await postMessage(gateway, free, { message: 'a', deliverBy: soon(10_000) });
      return status === 200 && body.provider === 'free';
    };
    await waitUntil(isSentAtOnce, { what: 'a message is sent at once', everyMs: 1_000 });
  });

  it('waits for free quota instead of being paid for', async () => {
    await untilBlocked();
    const { status, body, headers } = await postMessage(gateway, paid, { message: 'patient', deliverBy: soon(10_000) });
    expect(status).toBe(202);
    expect(headers.get('location')).toBe(`/messages/${body.id}`);
    expect(Date.parse(body.expectedAt ?? '')).toBeLessThan(Date.parse(body.deliverBy ?? ''));
    const record = await finished(gateway, paid, body.id ?? '');
    expect(record).toMatchObject({ status: 'delivered', provider: 'free', costMicros: 0, response: 'tneitap' });
    const steps = record.hops.map(({ step }) => step);
    expect(steps.slice(-4)).toEqual(['waiting', 'sending', 'answered', 'delivered']);
  });

  it('is paid for before its deadline when no free send succeeds', async () => {
    await setFaults(stack.origin.free, { errorRate: 1 });
    const { status, body } = await postMessage(
      gateway,
      paid,
      { message: 'a', deliverBy: soon(4_000) },
      { prefer: 'respond-async' },
    );
    expect(status).toBe(202);
    const record = await finished(gateway, paid, body.id ?? '');
    expect(record).toMatchObject({ status: 'delivered', provider: 'paid' });
    expect(Date.parse(record.deliveredAt ?? '')).toBeLessThan(Date.parse(record.deliverBy ?? ''));
  });

  it('is paid for before its deadline when a free send fails only after its last safe moment', async () => {
    await untilFreeIsOpen(gateway, paid);
    await setFaults(stack.origin.free, { errorRate: 1, latencyMs: 1_500 });
    const message = { message: 'a', deliverBy: soon(3_000) };
    const { body } = await postMessage(gateway, paid, message, { prefer: 'respond-async' });
    const record = await finished(gateway, paid, body.id ?? '');
    expect(record).toMatchObject({ status: 'delivered', provider: 'paid' });
    expect(record.attempts.map(({ provider }) => provider)).toEqual(['free', 'paid']);
  });

  it('is paid for before its deadline when 400 messages are due at the same moment', async () => {
    const latencyMs = 300;
    await setFaults(stack.origin.paid, { latencyMs });
    await untilBlocked();
    const body = { message: 'a', deliverBy: soon(10_000) };
    const accepted = await inParallel(400, 40, () => postMessage(gateway, paid, body, { prefer: 'respond-async' }));
    expect(accepted.filter(({ status }) => status !== 202).map(({ body: answer }) => answer)).toEqual([]);
    const records = await inParallel(400, 4, (index) => finished(gateway, paid, accepted[index]?.body.id ?? ''));
    // A busy machine may hold up the provider's answer. So the start of the attempt counts.
    const isInTime = ({ status, attempts }: MessageRecord): boolean =>
      status === 'delivered' && Date.parse(attempts.at(-1)?.startedAt ?? '') + latencyMs <= Date.parse(body.deliverBy);
    expect(records.filter((record) => !isInTime(record))).toEqual([]);
    await setFaults(stack.origin.paid, {});
  });

  it('expires at its deadline, with a reason, when it may not be paid for', async () => {
    await setFaults(stack.origin.free, { errorRate: 1 });
    const { body } = await postMessage(
      gateway,
      paid,
      { message: 'a', deliverBy: soon(2_000), paid: 'never' },
      { prefer: 'respond-async' },
    );
    const record = await finished(gateway, paid, body.id ?? '');
    expect(record).toMatchObject({ status: 'expired', reason: 'deadline_missed', costMicros: 0 });
    expect(record.detail).toContain('may not be paid for');
    expect(record.attempts.every(({ provider }) => provider === 'free')).toBe(true);
  });

  it('is accepted at once with Prefer: respond-async, and sent later', async () => {
    const { status, body } = await postMessage(gateway, paid, { message: 'abc' }, { prefer: 'respond-async' });
    expect({ status, state: body.status }).toEqual({ status: 202, state: 'waiting' });
    expect(await finished(gateway, paid, body.id ?? '')).toMatchObject({ status: 'delivered', response: 'cba' });
  });
});

describe('a pod that is killed', () => {
  it('leaves its waiting messages to other pods, which deliver them', async () => {
    await untilBlocked();
    const [, second = ''] = stack.gateways;
    const accepted = await inParallel(8, 8, () =>
      postMessage(second, paid, { message: 'a', deliverBy: soon(20_000), paid: 'never' }),
    );
    expect(accepted.map(({ status }) => status)).toEqual(accepted.map(() => 202));
    stack.process('gateway-2').kill('SIGKILL');
    const records = await inParallel(8, 8, (index) => finished(gateway, paid, accepted[index]?.body.id ?? '', 30_000));
    expect(records.map(({ status, provider }) => ({ status, provider }))).toEqual(
      records.map(() => ({ status: 'delivered', provider: 'free' })),
    );
  });
});
