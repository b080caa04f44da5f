import { hostname } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startReceiver } from '../../apps/gateway/test/receiver.js';
import { waitUntil } from '../../tools/stack/wait-until.js';
import { call, statsOf } from '../support/client.js';
import { type Arena, startArena } from './arena.js';

let arena: Arena;
beforeAll(async () => {
  arena = await startArena({ CALLBACK_SECRETS: `whsec_${Buffer.alloc(32, 7).toString('base64')}` });
});
afterAll(() => arena.stop());

const post = (body: unknown) => arena.send('POST', '/messages', arena.alice.bearer, body);
const metrics = async (): Promise<string> => (await call<string>(`${arena.gateway}/metrics`)).body;

describe('a callbackUrl', () => {
  const urls = [
    'http://example.com/',
    'https://127.0.0.1/',
    'https://127.1/',
    'https://2130706433/',
    'https://0x7f000001/',
    'https://0177.0.0.1/',
    'https://0/',
    'https://0.0.0.0/',
    'https://localhost/',
    'https://LOCALHOST./',
    'https://api.localhost/',
    'https://10.0.0.1/',
    'https://172.16.0.1/',
    'https://192.168.1.1/',
    'https://100.64.0.1/',
    'https://169.254.169.254/latest/meta-data/',
    'https://[::1]/',
    'https://[::]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[::ffff:7f00:1]/',
    'https://[::127.0.0.1]/',
    'https://[64:ff9b::7f00:1]/',
    'https://[fe80::1]/',
    'https://[fd00::1]/',
    'https://[2002:7f00:1::]/',
    'https://user:secret@example.com/',
    'https://example.com@127.0.0.1/',
    'https:127.0.0.1',
    'https:\\\\127.0.0.1\\',
    'https://example.com/\r\nX-Evil: 1',
    'https://１２７.0.0.1/',
    'file:///etc/passwd',
    'gopher://127.0.0.1:6379/_FLUSHALL',
    'ftp://example.com/',
    'javascript:alert(1)',
    'data:text/plain,a',
    'unix:/var/run/docker.sock',
    '//example.com/',
    'https://',
  ];
  it.each(urls)('%j is refused before anything is sent', async (callbackUrl) => {
    const before = (await statsOf(arena.stack.origin.free)).accepted;
    const { status, body } = await post({ message: 'a', callbackUrl });
    expect([status, body.errors?.[0]?.pointer]).toEqual([400, '/callbackUrl']);
    expect((await statsOf(arena.stack.origin.free)).accepted).toBe(before);
  });

  it('with a name that resolves to a private address gets no connection', async () => {
    const receiver = await startReceiver();
    const isTried = async (): Promise<boolean> =>
      /octo_callback_tries_total\{outcome="[^"]+"\} [1-9]/.test(await metrics());
    const { status } = await post({ message: 'a', callbackUrl: `https://${hostname()}:${receiver.port}/` });
    await waitUntil(isTried, { what: 'the callback is tried', deadlineMs: 20_000 });
    await receiver.stop();
    expect([status, receiver.connections()]).toEqual([200, 0]);
  });
});

describe('a log', () => {
  const own = (): Arena['stack']['log'] => arena.stack.log.filter(({ app }) => app === 'gateway' || app === 'auth');

  it('has one line of JSON for each event, and no event that a caller wrote', async () => {
    const forged = '\n{"level":"info","event":"forged"}\n';
    await arena.send('POST', '/auth/login', {}, { email: `a${forged}@example.com`, password: 'x' });
    await arena.send('GET', `/auth/${encodeURIComponent(forged)}`);
    await arena.send('GET', `/messages/${encodeURIComponent(forged)}`, {
      ...arena.alice.bearer,
      'user-agent': '{"event":"forged"}',
    });
    await arena.send('POST', '/messages', arena.alice.bearer, { message: forged, channel: forged });
    await arena.send(
      'POST',
      '/auth/login',
      { 'x-request-id': '{"event":"forged"}' },
      { email: 'b@example.com', password: 'x' },
    );
    expect(own().length).toBeGreaterThan(0);
    expect(own().filter((line) => line['level'] === undefined || line.event === 'forged')).toEqual([]);
    expect(JSON.stringify(own())).not.toContain('forged');
  });

  it('and a problem have no password, also of a body that cannot be read', async () => {
    for (const body of [
      '{"email":"a@b.cd","password":"hunter2-hunter2" x',
      { email: 'no-address', password: 'hunter2-hunter2' },
      { email: 'a@b.cd', password: 'hunter2-hunter2', x: 'hunter2-hunter2' },
    ]) {
      const answer = await arena.send('POST', '/auth/register', {}, body);
      expect(answer.status).toBe(400);
      expect(JSON.stringify(answer.body)).not.toContain('hunter2');
    }
    expect(JSON.stringify(arena.stack.log)).not.toContain('hunter2');
  });

  it('has no token, API key, refresh token or e-mail address of a user', () => {
    const text = JSON.stringify(own());
    for (const { token, refreshToken, key, email } of [arena.alice, arena.mallory]) {
      for (const secret of [token, refreshToken, key['authorization']?.slice(7) ?? '', email])
        expect(text).not.toContain(secret);
    }
  });
});
