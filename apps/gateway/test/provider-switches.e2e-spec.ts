import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { ProviderSwitch, SecurityLogPage } from '#contracts';
import {
  call,
  finished,
  listOf,
  login,
  postMessage,
  recordOf,
  setFaults,
  statsOf,
} from '../../../test/support/client.js';
import { type Stack, startStack } from '../../../test/support/stack.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { quotaOf } from './quota-of.js';

let stack: Stack;
let gateway: string;
let admin: string;
let paid: string;
let free: string;

beforeAll(async () => {
  stack = await startStack({ pods: 2, env: { FREE_LIMIT: '1000' } });
  gateway = stack.origin.gateway;
  [admin, paid, free] = await Promise.all([
    login(gateway, 'admin@octo.local'),
    login(gateway, 'paid@octo.local'),
    login(gateway, 'free@octo.local'),
  ]);
});
afterAll(() => stack.stop());

beforeEach(async () => {
  await setFaults(stack.origin.free, {});
  await switchTo('enabled');
});

const patch = (body: object, cookie = admin) =>
  call<ProviderSwitch & { code: string }>(`${gateway}/auth/providers`, {
    method: 'PATCH',
    headers: { cookie, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

/** Switches the free provider, and waits until every pod knows. */
async function switchTo(state: ProviderSwitch['state']): Promise<void> {
  expect(await patch({ key: 'free', state })).toMatchObject({ status: 200, body: { key: 'free', state } });
  for (const pod of stack.gateways) {
    const isKnown = async () => ((await quotaOf(pod, admin)).state === 'disabled') === (state !== 'enabled');
    await waitUntil(isKnown, { what: `free is ${state}` });
  }
}

describe.each(['drained', 'disabled'] as const)('a provider that an admin has %s', (state) => {
  it('gets no message from any pod, which GET /quota says', async () => {
    await switchTo(state);
    expect(await quotaOf(gateway, free)).toMatchObject({ state: 'disabled', reason: `${state} by an admin` });
    const before = await statsOf(stack.origin.free);
    for (const pod of stack.gateways) {
      expect(await postMessage(pod, paid)).toMatchObject({ status: 200, body: { provider: 'paid' } });
      expect(await postMessage(pod, free)).toMatchObject({ status: 503, body: { code: 'unavailable' } });
    }
    expect(await statsOf(stack.origin.free)).toEqual(before);
  });

  it('gets waiting messages once it is enabled again', async () => {
    await switchTo(state);
    const { body, status } = await postMessage(gateway, free, { message: 'a' }, { prefer: 'respond-async' });
    expect(status).toBe(202);
    await switchTo('enabled');
    expect(await finished(gateway, free, body.id ?? '')).toMatchObject({ status: 'delivered', provider: 'free' });
  });
});

/** A message that a provider has delivered, and whose answers are lost. */
async function unresolvedMessage(origin: string, faults: Record<string, number>, options: object): Promise<string> {
  await setFaults(origin, { loseReplyRate: 1, ...faults });
  const key = { 'idempotency-key': randomUUID() };
  expect((await postMessage(gateway, paid, { message: 'lost', ...options }, key)).status).toBe(504);
  return (await listOf(gateway, paid, 'limit=1')).body.items[0]?.id ?? '';
}

describe('a message that a provider may have delivered', () => {
  it('is still asked about while the provider is drained', async () => {
    const id = await unresolvedMessage(stack.origin.free, {}, { paid: 'never' });
    await switchTo('drained');
    await setFaults(stack.origin.free, {});
    expect(await finished(gateway, paid, id)).toMatchObject({ status: 'delivered', provider: 'free' });
  });

  it('is not asked about while the provider is disabled', async () => {
    const id = await unresolvedMessage(stack.origin.free, {}, { paid: 'never' });
    await switchTo('disabled');
    await setFaults(stack.origin.free, {});
    // Younger messages of another provider are asked about meanwhile. The answer and its repetition are lost.
    for (let count = 0; count < 3; count += 1) {
      const younger = await unresolvedMessage(stack.origin.paid, { times: 2 }, {});
      expect(await finished(gateway, paid, younger)).toMatchObject({ status: 'delivered', provider: 'paid' });
    }
    expect((await recordOf(gateway, paid, id)).body.status).not.toBe('delivered');
  });
});

describe('PATCH /auth/providers', () => {
  it('is for admins, and knows the accounts of the providers file', async () => {
    expect((await patch({ key: 'free', state: 'disabled' }, paid)).body.code).toBe('forbidden');
    expect((await patch({ key: 'unknown', state: 'disabled' })).status).toBe(404);
    expect((await patch({ key: 'free', state: 'off' })).status).toBe(400);
    const { body } = await call<{ items: ProviderSwitch[] }>(`${gateway}/auth/providers`, {
      headers: { cookie: admin },
    });
    expect(body.items.map(({ key, state }) => [key, state])).toEqual([
      ['free', 'enabled'],
      ['paid', 'enabled'],
    ]);
  });

  it('leaves an event in the security log, with the admin and the request', async () => {
    await patch({ key: 'paid', state: 'enabled' });
    const { body } = await call<SecurityLogPage>(`${gateway}/auth/security-log?limit=20`, {
      headers: { cookie: admin },
    });
    const event = body.items.find(({ event: name }) => name === 'provider_switched');
    expect(event).toMatchObject({ detail: 'paid: enabled', result: 'ok' });
    expect(event?.actorId).not.toBeNull();
    expect(event?.requestId).not.toBeNull();
  });
});
