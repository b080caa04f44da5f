import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

export interface Received {
  id: string;
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

/** A caller's server for callbacks, and the requests it received. */
export interface Receiver {
  url: string;
  port: number;
  received: Received[];
  connections: () => number;
  stop: () => Promise<void>;
}

/** @param answer gets the request and how many times the same id has arrived, this time included */
export async function startReceiver(
  answer: (response: ServerResponse, request: Received, times: number) => unknown = (response) => response.end(),
): Promise<Receiver> {
  const received: Received[] = [];
  let connections = 0;
  const receive = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { headers, method = '', url: path = '' } = request;
    const arrived = { id: String(headers['webhook-id']), method, path, headers, body: await text(request) };
    received.push(arrived);
    answer(response, arrived, received.filter(({ id }) => id === arrived.id).length);
  };
  // A request that ends early does not count.
  const server = createServer((request, response) => void receive(request, response).catch(() => response.destroy()));
  server.on('connection', () => (connections += 1));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/hooks`,
    port,
    received,
    connections: () => connections,
    stop: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
