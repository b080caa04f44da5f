import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { MessageRecord } from '#contracts';
import { finished, login, postMessage, recordOf } from '../../../test/support/client.js';
import { type Stack, startStack } from '../../../test/support/stack.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { untilFreeIsOpen } from './quota-of.js';

const LIMIT = 20;
const BLOCK_MS = 8_000;
const HELD_BACK = 'free slots are kept for urgent messages';

let stack: Stack;
let cookie: string;

beforeAll(async () => {
  stack = await startStack({ pods: 2, env: { FREE_LIMIT: String(LIMIT), FREE_BLOCK_MS: String(BLOCK_MS) } });
  cookie = await login(stack.origin.gateway);
});
afterAll(() => stack.stop());

const inMinutes = (minutes: number): string => new Date(Date.now() + minutes * 60_000).toISOString();

/** Sends urgent messages until free quota is used up and one is paid for. */
async function useUpFree(): Promise<void> {
  await waitUntil(async () => (await postMessage(stack.origin.gateway, cookie)).body.provider === 'paid', {
    what: 'free quota is used up',
  });
}

describe('a patient message after a burst of urgent ones', () => {
  beforeEach(() => untilFreeIsOpen(stack.origin.gateway, cookie));

  it('is sent when expectedAt says so, once urgent messages have stopped', async () => {
    await useUpFree();
    const { status, body } = await postMessage(stack.origin.gateway, cookie, {
      message: 'patient',
      deliverBy: inMinutes(10),
    });
    expect(status).toBe(202);
    const record = await finished(stack.origin.gateway, cookie, body.id ?? '', BLOCK_MS + 15_000);
    expect(record).toMatchObject({ status: 'delivered', provider: 'free', costMicros: 0 });
    const lateMs = Date.parse(record.deliveredAt ?? '') - Date.parse(body.expectedAt ?? '');
    // A pod learns of a lull at other pods with its next poll, at most 2 s later.
    expect(Math.abs(lateMs)).toBeLessThan(4_000);
  });

  it('is held back while urgent messages keep coming, and its record has the reason and the latest time', async () => {
    await useUpFree();
    const { body } = await postMessage(stack.origin.gateway, cookie, { message: 'patient', deliverBy: inMinutes(10) });
    const id = body.id ?? '';
    let record: MessageRecord | undefined;
    const isHeldBack = async (): Promise<boolean> => {
      await postMessage(stack.gateways[1] ?? '', cookie);
      record = (await recordOf(stack.origin.gateway, cookie, id)).body;
      return record.hops.some(({ reason }) => reason === HELD_BACK);
    };
    await waitUntil(isHeldBack, { what: 'the message is held back', everyMs: 200, deadlineMs: 40_000 });
    const hop = record?.hops.find(({ reason }) => reason === HELD_BACK);
    expect(hop).toMatchObject({ step: 'waiting', provider: 'free' });
    // Until its last safe moment, if urgent messages never stop.
    expect(Date.parse(record?.expectedAt ?? '')).toBeGreaterThan(Date.now() + 9 * 60_000);

    const lastUrgentMs = Date.now();
    const delivered = await finished(stack.origin.gateway, cookie, id, 30_000);
    expect(delivered).toMatchObject({ status: 'delivered', provider: 'free' });
    // One lull of 3 s, and one block if the urgent messages had used the window up; not minutes of decaying rates.
    expect(Date.parse(delivered.deliveredAt ?? '') - lastUrgentMs).toBeLessThan(BLOCK_MS + 10_000);
  });
});
