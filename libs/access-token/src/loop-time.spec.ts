import { connect, createServer } from 'node:net';
import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { TooLate, withinLoopTime } from './loop-time.js';

function block(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}

describe('withinLoopTime', () => {
  it('throws TooLate when no answer comes', async () => {
    const startedMs = performance.now();
    await expect(withinLoopTime(new Promise(() => {}), 200)).rejects.toThrow(TooLate);
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(195);
  });

  it('passes on the result and the error', async () => {
    expect(await withinLoopTime(Promise.resolve(1), 100)).toBe(1);
    await expect(withinLoopTime(Promise.reject(new Error('refused')), 100)).rejects.toThrow('refused');
  });

  it('accepts an answer that arrived while the event loop was blocked for longer than the timeout', async () => {
    const server = createServer((socket) => void socket.on('data', () => socket.write('answer')).on('error', () => {}));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const socket = connect(typeof address === 'object' && address !== null ? address.port : 0, '127.0.0.1');
    await once(socket, 'connect');
    socket.write('question');
    const answer = withinLoopTime(once(socket, 'data'), 300);
    for (let turn = 0; turn < 2; turn += 1) {
      block(500);
      await nextTurn(); // oxlint-disable-line no-await-in-loop -- one block in each turn
    }
    expect(String(await answer)).toBe('answer');
    socket.destroy();
    server.close();
  });
});
