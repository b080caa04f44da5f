import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

/** Below the ephemeral ports: an outgoing connection of another process could take one of those before its use. */
const LOWEST = 10_000;
const HIGHEST = 32_767;

/**
 * A free TCP port, reserved for the caller. Seconds may pass before the caller listens on it, while other processes
 * choose ports too: this process holds the UDP port of the same number until it ends.
 */
export async function freePort(): Promise<number> {
  const port = randomInt(LOWEST, HIGHEST + 1);
  return (await reserve(port)) && (await isFreePort(port)) ? port : freePort();
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

/** Whether no process listens on the port. */
export function isFreePort(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
