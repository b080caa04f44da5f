import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { QuotaReport } from '#contracts';
import { call, login, type MessageAnswer, postMessage } from '../../../test/support/client.js';
import { type Stack, startStack } from '../../../test/support/stack.js';
import { freePort } from '../../../tools/stack/free-port.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { startStubProvider, type StubProvider } from './stub-provider.js';

let dir: string;
let file: string;
let stack: Stack;
let cookie: string;
let stub: StubProvider;
let stubPort: number;

const free = (limit: number): string => `
  - name: free
    url: '\${FREE_PROVIDER_URL}'
    priceMicros: 0
    quota: { policy: count-then-block, limit: ${limit}, blockMs: 60000 }`;
const paid = `
  - { name: paid, url: '\${PAID_PROVIDER_URL}', priceMicros: 2500 }`;
const cheap = (): string => `
  - name: cheap
    priceMicros: 10
    method: PUT
    url: 'http://127.0.0.1:${stubPort}/send?key=secret'
    form: { text: '{{ message }}' }
    response: 'body.response'
    quota: { policy: sliding-window, limit: 5, windowMs: 2000 }`;

/** No quota explains its refusals: they pause the account. */
const keyed = (key: string): string => `
  - { name: keyed, priceMicros: 10, url: 'http://127.0.0.1:${stubPort}/${key}', text: '{{ message }}' }`;

const write = (...providers: string[]): void => writeFileSync(file, `currency: USD\nproviders:${providers.join('')}\n`);

async function metric(name: string): Promise<number> {
  const { body } = await call<string>(`${stack.origin.gateway}/metrics`);
  return Number(new RegExp(`^${name} (.*)$`, 'm').exec(body)?.[1]);
}

async function quotaOf(provider: string): Promise<QuotaReport['providers'][number] | undefined> {
  const { body } = await call<QuotaReport>(`${stack.origin.gateway}/quota`, { headers: { cookie } });
  return body.providers.find(({ name }) => name === provider);
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'octo-reload-'));
  file = join(dir, 'providers.yaml');
  stubPort = await freePort();
  stub = await startStubProvider(stubPort);
  write(free(10), paid);
  const env = { PROVIDERS_FILE: file, FREE_LIMIT: '10', FREE_BLOCK_MS: '60000' };
  stack = await startStack({ env });
  cookie = await login(stack.origin.gateway);
});
afterAll(async () => {
  await stack.stop();
  await stub.stop();
  rmSync(dir, { recursive: true, force: true });
});

describe('a changed providers file', () => {
  it('changes a limit and keeps the count', async () => {
    for (let sent = 0; sent < 4; sent += 1) {
      expect((await postMessage(stack.origin.gateway, cookie)).body.provider).toBe('free');
    }
    write(free(7), paid);
    await waitUntil(async () => (await quotaOf('free'))?.limit === 7, { what: 'the limit is 7' });
    expect(await quotaOf('free')).toMatchObject({ used: 4, remaining: 3 });
  });

  it('adds a provider of another kind under load, without a failed message', async () => {
    const answers: MessageAnswer[] = [];
    let isAdded = false;
    const post = async (): Promise<boolean> => {
      answers.push(await postMessage(stack.origin.gateway, cookie));
      return isAdded && answers.at(-1)?.body.provider === 'cheap';
    };
    await waitUntil(async () => (await post()) || answers.length >= 20, { what: 'some messages are sent' });
    write(free(7), cheap(), paid);
    isAdded = true;
    await waitUntil(post, { what: 'the new provider is used' });
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    expect(stub.requests[0]?.path).toBe('/send?key=secret');
  });

  it('that is not valid changes nothing, and is logged once with line and column', async () => {
    write(free(7), '\n  - { name: broken, url: nowhere, priceMicros: -1, colour: red }');
    await waitUntil(async () => (await metric('octo_providers_file_valid')) === 0, { what: 'the file is not valid' });
    expect((await postMessage(stack.origin.gateway, cookie)).status).toBe(200);
    const reason = 'is not valid, see the log; an older version stays in force';
    expect(await call(`${stack.origin.gateway}/health/ready`)).toMatchObject({
      status: 200,
      body: { status: 'degraded', missing: [{ name: 'providers file', reason }] },
    });
    const lines = stack.log.filter(({ event }) => event === 'providers file is not valid, the old one stays in force');
    expect(lines).toHaveLength(1);
    const problems = lines[0]?.['problems'] as string[];
    expect(problems).toEqual([
      expect.stringMatching(/providers\.yaml:7:\d+: providers\.1\.priceMicros: /),
      expect.stringMatching(/providers\.yaml:7:\d+: providers\.1\.colour: is not a known field$/),
    ]);

    write(free(7), cheap(), paid);
    await waitUntil(async () => (await metric('octo_providers_file_valid')) === 1, { what: 'the file is valid again' });
    expect((await call(`${stack.origin.gateway}/health/ready`)).body).toEqual({ status: 'ready' });
  });

  it('with a new key ends the pause of an account', async () => {
    const post = async () => (await postMessage(stack.origin.gateway, cookie)).body.provider;
    const { answer } = stub;
    stub.answer = (response, { path }) =>
      path === '/dead' ? response.writeHead(403, { 'retry-after': '600' }).end() : response.end('ok');
    try {
      write(keyed('dead'), paid);
      const isPaused = async () => (await post()) === 'paid' && (await quotaOf('keyed'))?.state === 'paused';
      await waitUntil(isPaused, { what: 'the account is paused' });
      write(keyed('alive'), paid);
      await waitUntil(async () => (await post()) === 'keyed', { what: 'the account is used' });
      expect((await quotaOf('keyed'))?.state).toBe('unlimited');
    } finally {
      stub.answer = answer;
    }
  });
});
