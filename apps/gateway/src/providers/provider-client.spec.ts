import { connect } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { answer, closeByteServers, listen, portOf, providerAt, sendTo, stopListening } from '../../test/byte-server.js';

afterEach(closeByteServers);

describe('a repetition after a lost answer', () => {
  const IDEMPOTENT = { idempotencyKey: 'Idempotency-Key' };

  it('that no connection takes leaves the outcome unknown', async () => {
    const port = await listen((socket) => {
      stopListening();
      socket.resetAndDestroy();
    });
    expect(await sendTo(providerAt(port, IDEMPOTENT))).toMatchObject({
      outcome: 'unknown',
      settlement: { outcome: 'unknown' },
      repeatedAtMs: expect.any(Number),
    });
  });

  it('that is refused leaves the outcome unknown, and the quota learns of the refusal', async () => {
    const port = await listen((socket, times) =>
      times === 1 ? socket.end() : socket.write(answer('', 'retry-after: 7\r\n', '429 Too Many Requests')),
    );
    expect(await sendTo(providerAt(port, IDEMPOTENT))).toMatchObject({
      outcome: 'unknown',
      httpStatus: 429,
      settlement: { outcome: 'refused', announced: { retryAfterMs: 7_000 } },
    });
  });
});

describe('a provider behind a proxy', () => {
  /** Forwards tunnels to 127.0.0.1, and answers CONNECT with this status. */
  async function proxyWith(status: string): Promise<{ url: string; tunnels: () => number }> {
    let tunnels = 0;
    const port = await portOf((socket) => {
      socket.once('data', (head) => {
        tunnels += 1;
        const targetPort = Number(/^CONNECT 127\.0\.0\.1:(\d+)/.exec(head.toString())?.[1]);
        if (!status.startsWith('200')) return socket.end(`HTTP/1.1 ${status}\r\n\r\n`);
        const target = connect(targetPort, '127.0.0.1', () => socket.write(`HTTP/1.1 ${status}\r\n\r\n`));
        target.on('error', () => undefined).on('close', () => socket.destroy());
        return target.pipe(socket).pipe(target);
      });
    });
    return { url: `http://127.0.0.1:${port}`, tunnels: () => tunnels };
  }

  it('is reached through it, also when a lost answer is asked for again', async () => {
    const proxy = await proxyWith('200 OK');
    const port = await listen((socket, times) => (times === 1 ? socket.destroy() : socket.write(answer('"a"'))));
    const provider = providerAt(port, { idempotencyKey: 'Idempotency-Key' }, { HTTP_PROXY: proxy.url });
    expect(await sendTo(provider)).toMatchObject({ outcome: 'delivered', response: 'a' });
    expect(proxy.tunnels()).toBe(2);
  });

  it('is not sent to when the proxy refuses', async () => {
    const proxy = await proxyWith('502 Bad Gateway');
    const provider = providerAt(1, {}, { HTTP_PROXY: proxy.url });
    expect(await sendTo(provider)).toMatchObject({ outcome: 'notSent', reason: 'the proxy refused the connection' });
  });

  it('is not sent to when the request has a header for the proxy', async () => {
    const proxy = await proxyWith('200 OK');
    const provider = providerAt(1, { headers: { 'proxy-authorization': 'Basic x' } }, { HTTP_PROXY: proxy.url });
    expect(await sendTo(provider)).toMatchObject({ outcome: 'notSent' });
  });
});
