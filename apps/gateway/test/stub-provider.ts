import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';

/** A provider of a few lines of node:http, whose answers a test chooses. */
export interface StubProvider {
  /** Oldest first. */
  requests: { path: string | undefined; headers: IncomingHttpHeaders }[];
  answer: (response: ServerResponse) => void;
  stop: () => Promise<void>;
}

/** The gateway ignores fields it does not know. */
const DELIVERED = { ok: true, response: 'from the stub', extra: 1 };

/** Delivers every message until the test sets another answer. */
export async function startStubProvider(port: number): Promise<StubProvider> {
  const server = createServer((request, response) => {
    stub.requests.push({ path: request.url, headers: request.headers });
    // Without the whole body, the connection would be closed and not reused.
    request.resume().on('end', () => stub.answer(response));
  });
  const stub: StubProvider = {
    requests: [],
    answer: deliver,
    stop: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return stub;
}

export function deliver(response: ServerResponse): void {
  sendJson(response, DELIVERED);
}

export function sendJson(response: ServerResponse, body: unknown): void {
  response.setHeader('content-type', 'application/json').end(JSON.stringify(body));
}
