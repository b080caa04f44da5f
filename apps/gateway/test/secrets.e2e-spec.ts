import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { call, login, type MessageAnswer, postMessage, recordOf } from '../../../test/support/client.js';
import type { Stack } from '../../../test/support/stack.js';
import { startWithProviders } from './start-with-providers.js';
import { sendJson, startStubProvider, type StubProvider } from './stub-provider.js';

const KEY = 'sk-live-"4f1e+9a/ü';
const ASCII_KEY = 'sk-test-77aa+bb/cc==';
const SHORT = 'pw7Z';
const FROM_FILE = 'file-secret-0c9d8e7f';
const BASIC = Buffer.from(`octo:${FROM_FILE}`).toString('base64');
/** Every form in which a secret could appear. */
const FORMS = [KEY, ASCII_KEY, SHORT, FROM_FILE].flatMap((secret) => [
  secret,
  encodeURIComponent(secret),
  new URLSearchParams({ secret }).toString().slice('secret='.length),
  JSON.stringify(secret).slice(1, -1),
]);

/** Providers of one stub, which quotes the whole request in its error; by name, with the status of the error. */
const PROVIDERS = {
  bearer: [422, `headers: { authorization: 'Bearer \${ASCII_KEY}' }, text: '{{ message }}'`],
  file: [400, `headers: { x-api-key: '\${file:FILE}' }, form: { a: '{{ message }}' }`],
  query: [422, `json: { key: '\${KEY}', short: '\${SHORT}' }`],
  basic: [409, `text: '{{ message }}'`],
  dead: [401, `headers: { authorization: 'Bearer \${ASCII_KEY}' }, text: '{{ message }}'`],
  broken: [500, `headers: { authorization: 'Bearer \${ASCII_KEY}' }, text: '{{ message }}'`],
  'throwing-request': [200, `text: '{{ $error("no \${SHORT} \${ASCII_KEY}") }}'`],
  'throwing-answer': [200, `text: '{{ message }}', response: '$error("no \${ASCII_KEY} in " & body)'`],
  'long-error': [422, `headers: { x-long: '\${ASCII_KEY}' }, text: '{{ $pad("", 485, "x") }}'`],
} as const;
type Name = keyof typeof PROVIDERS;
const NAMES = Object.keys(PROVIDERS) as Name[];

let dir: string;
let stub: StubProvider;
let stack: Stack;
let gateway: string;
let cookie: string;
const answers: Partial<Record<Name, MessageAnswer>> = {};
const records: unknown[] = [];

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'octo-secrets-'));
  const file = join(dir, 'secret');
  writeFileSync(file, `${FROM_FILE}\n`);
  stub = await startStubProvider(0, (response, { path, headers, body }) => {
    const { pathname } = new URL(path ?? '', 'http://stub');
    const status = Number(pathname.slice(1));
    if (headers['x-long'] !== undefined) return response.writeHead(status).end(`${body} ${String(headers['x-long'])}`);
    return sendJson(response, { error: `you sent ${path} ${JSON.stringify(headers)} ${body}` }, status);
  });
  const urlOf = (name: Name): string => {
    const origin = name === 'basic' ? stub.origin.replace('//', `//octo:\${file:${file}}@`) : stub.origin;
    const query = name === 'query' ? '?key={{ $encodeUrlComponent("${ASCII_KEY}") }}' : '';
    return `${origin}/${PROVIDERS[name][0]}${query}`;
  };
  const providers = NAMES.map((name) => {
    const fields = PROVIDERS[name][1].replace('FILE', file);
    return `  - { name: ${name}, priceMicros: 0, url: '${urlOf(name)}', ${fields} }`;
  });
  const channels = NAMES.map((name) => `  ${name}: { providers: [${name}] }`);
  const yaml = `currency: USD\nchannels:\n${channels.join('\n')}\nproviders:\n${providers.join('\n')}\n`;
  stack = await startWithProviders(yaml, {
    env: { ASCII_KEY, KEY, SHORT },
  });
  gateway = stack.origin.gateway;
  cookie = await login(gateway);
  for (const name of NAMES) {
    const answer = await postMessage(gateway, cookie, { message: 'hello', channel: name });
    answers[name] = answer;
    if (answer.body.id !== undefined) records.push((await recordOf(gateway, cookie, answer.body.id)).body);
  }
});
afterAll(async () => {
  await stack.stop();
  await stub.stop();
  rmSync(dir, { recursive: true, force: true });
});

function expectNoSecret(text: string): void {
  const found = [...FORMS, BASIC].filter((form) => text.includes(form));
  expect(found).toEqual([]);
}

describe('a secret of the providers file', () => {
  it('reaches the provider', () => {
    const received = stub.requests.map(({ path, headers, body }) => `${path} ${JSON.stringify(headers)} ${body}`);
    for (const secret of [ASCII_KEY, FROM_FILE, SHORT, BASIC]) {
      expect(received.some((request) => request.includes(secret))).toBe(true);
    }
    expect(JSON.parse(stub.requests.find(({ path }) => path?.startsWith('/422?'))?.body ?? '')).toMatchObject({
      key: KEY,
    });
  });

  it.each(NAMES)('is not in the answer of a provider that quotes it (%s)', (name) => {
    const answer = answers[name];
    expect(answer?.status).toBeGreaterThanOrEqual(400);
    expectNoSecret(JSON.stringify(answer?.body));
    // The test could not fail without the quotation.
    if (name === 'bearer' || name === 'file' || name === 'query' || name === 'basic') {
      expect(answer?.body.detail).toContain('***');
    }
  });

  it('is not in the records of its messages', () => {
    expect(records).toHaveLength(NAMES.length);
    expectNoSecret(JSON.stringify(records));
    expect(JSON.stringify(records)).toContain('***');
  });

  it.each(['/quota', '/metrics', '/openapi.json', '/docs', '/health/ready', '/messages?limit=100'])(
    'is not in %s',
    async (path) => {
      const { status, body } = await call<unknown>(`${gateway}${path}`, { headers: { cookie } });
      expect(status).toBe(200);
      expectNoSecret(typeof body === 'string' ? body : JSON.stringify(body));
    },
  );

  it('is not in any log', () => {
    expect(stack.log.some(({ event }) => event === 'provider account failed')).toBe(true);
    for (const line of stack.log) {
      // Parsed and not: a log line is JSON, which escapes.
      expectNoSecret(JSON.stringify(line));
      expectNoSecret(Object.values(line).map(String).join(' '));
    }
  });
});
