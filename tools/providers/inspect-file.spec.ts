import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { explainRequest } from './explain-request.js';
import { inspectFile } from './inspect-file.js';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'octo-inspect-'));
  writeFileSync(join(dir, 'secret'), 'from-a-file\n');
});
afterAll(() => rmSync(dir, { recursive: true }));

function inspect(fields: string, env: NodeJS.ProcessEnv = {}) {
  const path = join(dir, 'providers.yaml');
  writeFileSync(path, `currency: USD\nproviders:\n  - name: a\n    priceMicros: 0\n${fields}`);
  const { problems, ...file } = inspectFile(path, env);
  return { ...file, problems: problems.map((problem) => problem.replace(path, 'file')) };
}

const message = { id: 'id-1', channel: 'default', content: 'hello', requestId: 'r', traceparent: 't' };

/** The request that is printed for a message. */
async function explain(fields: string, env: NodeJS.ProcessEnv): Promise<string> {
  const [provider] = inspect(fields, env).masked?.providers ?? [];
  if (provider === undefined) throw new Error('the file cannot be compiled');
  return (await explainRequest(provider, message)).text;
}

describe('inspecting a providers file', () => {
  it('lists every missing variable, with the places that need it, and works without them', () => {
    const { missing, problems, masked } = inspect(
      `    url: '\${HOST}/send?key=\${KEY}'
    headers: { a: '\${file:/no/such}', b: '\${NAME:-none}' }
    quota: { policy: sliding-window, limit: '\${LIMIT}', windowMs: 1000 }
`,
    );
    expect(missing).toEqual(['HOST', 'KEY', '/no/such', 'LIMIT']);
    expect(problems).toEqual([
      'file:5:5: providers.0.url: HOST is not set',
      'file:5:5: providers.0.url: KEY is not set',
      'file:6:16: providers.0.headers.a: /no/such cannot be read',
      'file:7:38: providers.0.quota.limit: LIMIT is not set',
    ]);
    expect(masked?.providers).toHaveLength(1);
  });

  it('lists the other problems of a file with a missing variable', () => {
    const { problems, masked } = inspect(`    url: 'http://a/\${KEY}'\n    timeout: 3\n    method: SEND\n`);
    expect(problems).toEqual([
      'file:5:5: providers.0.url: KEY is not set',
      expect.stringContaining('file:7:5: providers.0.method: '),
      'file:6:5: providers.0.timeout: is not a known field',
    ]);
    expect(masked).toBeUndefined();
  });

  it('keeps a number that comes from the environment', () => {
    const quota = `    url: http://a\n    quota: { policy: sliding-window, limit: '\${LIMIT}', windowMs: 1000 }\n`;
    expect(inspect(quota, { LIMIT: '7' }).masked?.providers[0]?.quota).toMatchObject({ limit: 7 });
  });
});

describe('a printed request', () => {
  const env = { ID: 'account-77', KEY: 'k&y /+ü', SHORT: '7', ORIGIN: 'https://me:word@host.example' };

  it.each([
    [
      'in a header',
      `    url: http://a\n    headers: { authorization: 'Bearer \${KEY}' }\n`,
      'authorization: Bearer ***',
    ],
    [
      'in a query parameter',
      `    url: 'http://a/?key={{ $encodeUrlComponent("\${KEY}") }}'\n`,
      'POST http://a/?key=***',
    ],
    ['in a form', `    url: http://a\n    form: { key: '\${KEY}' }\n`, 'key=***'],
    ['in JSON', `    url: http://a\n    json: { key: ['\${KEY}'] }\n`, '{"key":["***"]}'],
    ['in Basic authorization of the URL', `    url: 'http://\${ID}:\${SHORT}@a'\n`, 'authorization: Basic ***'],
    ['in base64', `    url: http://a\n    text: 'x {{ $base64encode("\${ID}:\${KEY}") }}'\n`, 'x ***'],
    ['of one character', `    url: http://a/7\n    headers: { x: '\${SHORT}' }\n`, 'x: ***'],
    ['from a file', `    url: http://a\n    headers: { x: '\${file:DIR/secret}' }\n`, 'x: ***'],
    ['that is the address', `    url: '\${ORIGIN}/send'\n`, 'POST https://***/send'],
  ])('masks a secret %s', async (_where, fields, expected) => {
    const text = await explain(fields.replace('DIR', dir), env);
    expect(text.split('\n')).toContain(expected);
    for (const secret of ['account-77', 'k&y', 'k%26y', 'from-a-file', 'word', btoa('me:word')]) {
      expect(text).not.toContain(secret);
    }
  });

  it('has the message, and the headers of every message', async () => {
    const text = await explain(
      `    url: http://a\n    idempotencyKey: Message-Id\n    json: { t: '{{ message }}' }\n`,
      {},
    );
    expect(text.split('\n')).toEqual([
      'POST http://a/',
      'accept: application/json',
      'content-type: application/json',
      'message-id: id-1',
      'x-request-id: r',
      'traceparent: t',
      '',
      '{"t":"hello"}',
    ]);
  });

  it('is replaced by the reason when the message does not fit the template', async () => {
    const text = await explain(`    url: 'http://a/{{ message.to }}'\n`, {});
    expect(text).toMatch(/^the message does not fit the template: /);
  });
});
