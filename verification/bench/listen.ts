import { once } from 'node:events';
import type { Server } from 'node:http';

/** Has a server listen on a port of this machine that the system chooses. @returns its origin */
export async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('not listening');
  return `http://127.0.0.1:${address.port}`;
}
