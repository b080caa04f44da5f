import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { listOf, login, type MessageAnswer, postMessage, recordOf } from '../../../test/support/client.js';
import type { Stack } from '../../../test/support/stack.js';
import { freePort } from '../../../tools/stack/free-port.js';
import { recovered, recoveredOnce } from './recover.js';
import { startWithProviders } from './start-with-providers.js';
import { deliver, sendJson, startStubProvider, type StubProvider } from './stub-provider.js';

const TIMEOUT_MS = 400;

let stub: StubProvider;
let stack: Stack;
let gateway: string;
let paid: string;
let free: string;
let closedPort: number;

beforeAll(async () => {
  const stubPort = await freePort();
  closedPort = await freePort();
  stub = await startStubProvider(stubPort);
  stack = await startWithProviders(`
currency: USD
channels:
  default: { providers: [stub, closed] }
  stub: { providers: [stub] }
  closed: { providers: [closed] }
providers:
  - { name: stub, url: 'http://127.0.0.1:${stubPort}/messages', priceMicros: 0, timeoutMs: ${TIMEOUT_MS},
      quota: { policy: count-then-block, limit: 1000, blockMs: 60000 } }
  - { name: closed, url: 'http://127.0.0.1:${closedPort}/messages', priceMicros: 100, timeoutMs: ${TIMEOUT_MS} }
`);
  gateway = stack.origin.gateway;
  [paid, free] = await Promise.all([login(gateway, 'paid@octo.local'), login(gateway, 'free@octo.local')]);
});
afterAll(async () => {
  await stack.stop();
  await stub.stop();
});

/** Earlier tests may have made the gateway pause both accounts. */
async function bothRecovered(): Promise<void> {
  stub.answer = deliver;
  await recovered(gateway, paid, 'stub');
  await recoveredOnce(gateway, paid, 'closed', closedPort);
}

interface Failure {
  reason: string;
  answer: (response: ServerResponse) => unknown;
  status: number;
  code: string;
  attempt: { outcome: string; httpStatus: number | null };
  recordStatus: string;
}

const FAILED = { status: 502, code: 'provider_failed', recordStatus: 'failed' };
const FAILURES: Failure[] = [
  {
    ...FAILED,
    reason: 'HTTP 500',
    answer: (response) => response.writeHead(500).end(),
    attempt: { outcome: 'failed', httpStatus: 500 },
  },
  {
    ...FAILED,
    reason: 'answer lacks ok: true',
    answer: (response) => sendJson(response, { ok: false, response: 'a' }),
    attempt: { outcome: 'failed', httpStatus: 200 },
  },
  {
    ...FAILED,
    reason: 'answer is no JSON object',
    answer: (response) => response.end('<html>'),
    attempt: { outcome: 'failed', httpStatus: 200 },
  },
  {
    status: 504,
    code: 'provider_timeout',
    recordStatus: 'unknown',
    reason: `no answer within ${TIMEOUT_MS} ms`,
    answer: () => {},
    attempt: { outcome: 'unknown', httpStatus: null },
  },
];

/** `GET /messages/{id}` finds the message that the problem is about, with the same attempts. */
async function expectRecord(cookie: string, { id, code, attempts }: MessageAnswer['body'], status: string) {
  expect(id).toBeDefined();
  const record = await recordOf(gateway, cookie, id ?? '');
  expect({ httpStatus: record.status, ...record.body }).toMatchObject({
    httpStatus: 200,
    id,
    status,
    reason: code,
    attempts,
  });
  expect(record.body.attempts).toHaveLength(attempts?.length ?? 0);
}

const keyed = () => ({ 'idempotency-key': randomUUID() });
const soon = () => new Date(Date.now() + 20_000).toISOString();

describe.each(FAILURES)(
  'a send that fails with "$reason"',
  ({ reason, answer, status, code, attempt, recordStatus }) => {
    beforeEach(async () => {
      await bothRecovered();
      stub.answer = answer;
    });

    const expected = { status, body: { code, attempts: [{ provider: 'stub', ...attempt, reason }] } };

    it('is an attempt in the problem and in the record of a message without an idempotency key', async () => {
      const problem = await postMessage(gateway, free);
      expect(problem).toMatchObject(expected);
      expect(problem.body.attempts).toHaveLength(1);
      await expectRecord(free, problem.body, recordStatus);
    });

    it('is an attempt in the problem and in the record of a message with an idempotency key, also when repeated', async () => {
      const key = keyed();
      const problem = await postMessage(gateway, free, { message: 'a' }, key);
      expect(problem).toMatchObject(expected);
      await expectRecord(free, problem.body, recordStatus);
      const sent = stub.requests.length;
      const repeated = await postMessage(gateway, free, { message: 'a' }, key);
      expect(repeated).toMatchObject({ status, body: { code } });
      expect(repeated.body).toMatchObject({ id: problem.body.id, attempts: problem.body.attempts });
      expect(stub.requests).toHaveLength(sent);
    });

    it('is followed by an attempt with "connection refused" at the next provider', async () => {
      const problem = await postMessage(gateway, paid);
      expect(problem).toMatchObject({ status: 502, body: { code: 'provider_failed' } });
      expect(problem.body.attempts).toMatchObject([
        { provider: 'stub', ...attempt, reason },
        { provider: 'closed', outcome: 'failed', httpStatus: null, reason: 'connection refused' },
      ]);
      await expectRecord(paid, problem.body, recordStatus);
    });
  },
);

describe('a message with a deadline', () => {
  beforeEach(bothRecovered);

  it.each([
    ['without an idempotency key', () => ({})],
    ['with an idempotency key', keyed],
  ])('%s is answered 504 with its attempt when the provider does not answer', async (_what, headers) => {
    stub.answer = () => {};
    const problem = await postMessage(gateway, free, { message: 'a', deliverBy: soon() }, headers());
    expect(problem).toMatchObject({ status: 504, body: { attempts: [{ provider: 'stub', outcome: 'unknown' }] } });
    await expectRecord(free, problem.body, 'unknown');
  });

  it('is answered 502 with both attempts when the free provider does not answer and the paid one is closed', async () => {
    stub.answer = () => {};
    const problem = await postMessage(gateway, paid, { message: 'a', deliverBy: soon() }, keyed());
    expect(problem).toMatchObject({
      status: 502,
      body: {
        attempts: [
          { provider: 'stub', outcome: 'unknown' },
          { provider: 'closed', outcome: 'failed' },
        ],
      },
    });
    await expectRecord(paid, problem.body, 'unknown');
  });
});

// Last in this file: the refusal closes the quota of the stub for a minute.
describe('a 403', () => {
  let refused: MessageAnswer;

  beforeAll(async () => {
    await bothRecovered();
    stub.answer = (response) => response.writeHead(429).end();
    refused = await postMessage(gateway, free);
  });

  it('after a refusal has the id of the message and the refused attempt, and the record agrees', async () => {
    expect(refused).toMatchObject({
      status: 403,
      body: { attempts: [{ provider: 'stub', outcome: 'refused', httpStatus: 429, reason: 'HTTP 429' }] },
    });
    await expectRecord(free, refused.body, 'failed');
  });

  it.each([
    ['without an idempotency key', () => ({})],
    ['with an idempotency key', keyed],
  ])('without an attempt has neither id nor attempts, for a message %s', async (_what, headers) => {
    const problem = await postMessage(gateway, free, { message: 'a' }, headers());
    expect(problem).toMatchObject({ status: 403, body: { code: 'paid_access_required' } });
    expect(problem.body).not.toHaveProperty('id');
    expect(problem.body).not.toHaveProperty('attempts');
  });

  it('without an attempt leaves no record of a message without an idempotency key', async () => {
    const before = await listOf(gateway, free, 'limit=100');
    expect((await postMessage(gateway, free)).status).toBe(403);
    expect((await listOf(gateway, free, 'limit=100')).body.items).toEqual(before.body.items);
  });
});
