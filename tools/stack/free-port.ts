import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

/** Below the ports that systems give to whoever connects: somebody else's connection could take it before it is used. */
const LOWEST = 10_000;
const HIGHEST = 32_767;

/**
 * A TCP port nobody listens on at the moment and nobody else is given. Between choosing it and listening on it pass seconds
 * in which others choose as well, so that it is reserved: this process holds the UDP port of that number until it ends.
 */
export async function freePort(): Promise<number> {
  const port = randomInt(LOWEST, HIGHEST + 1);
  return (await reserve(port)) && (await isFree(port)) ? port : freePort();
}

function reserve(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4').unref();
    socket.once('error', () => {
      socket.close();
      resolve(false);
    });
    socket.bind(port, '127.0.0.1', () => resolve(true));
  });
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
