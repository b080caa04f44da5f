import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { waitUntil } from '../../tools/stack/wait-until.js';

/** A connection on which a test writes its own bytes. It stays half open when the other side ends it. */
export class RawConnection {
  received = '';
  private constructor(readonly socket: Socket) {
    socket.on('data', (chunk) => (this.received += String(chunk)));
    socket.on('error', () => {});
  }

  static async to(origin: string): Promise<RawConnection> {
    const { hostname, port } = new URL(origin);
    const connection = new RawConnection(connect({ host: hostname, port: Number(port), allowHalfOpen: true }));
    await once(connection.socket, 'connect');
    return connection;
  }

  get status(): number | undefined {
    return this.statuses[0];
  }

  /** Of all answers so far. */
  get statuses(): number[] {
    return [...this.received.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status));
  }

  /** Whether the other side takes no more requests on this connection. */
  get isEnded(): boolean {
    return this.socket.readableEnded || this.socket.destroyed;
  }
}

/** Sends a request line and header lines as they are, and reads until the answer has a status. */
export async function rawRequest(origin: string, lines: string[], body = ''): Promise<RawConnection> {
  const connection = await RawConnection.to(origin);
  connection.socket.write(`${[...lines, 'Host: octo'].join('\r\n')}\r\n\r\n${body}`);
  await waitUntil(() => connection.status !== undefined, { what: `answer to ${lines[0]}`, deadlineMs: 20_000 });
  return connection;
}
