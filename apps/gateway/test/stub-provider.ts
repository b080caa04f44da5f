import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

export interface StubRequest {
  method: string | undefined;
  path: string | undefined;
  headers: IncomingHttpHeaders;
  body: string;
  /** On the monotonic clock of the test. */
  atMs: number;
}

/** A provider of a few lines of node:http, whose answers a test chooses. */
export interface StubProvider {
  origin: string;
  /** Oldest first. */
  requests: StubRequest[];
  answer: (response: ServerResponse, request: StubRequest) => unknown;
  stop: () => Promise<void>;
}

/** The gateway ignores fields it does not know. */
const DELIVERED = { ok: true, response: 'from the stub', extra: 1 };

/** Delivers every message until the test sets another answer. */
export async function startStubProvider(
  port = 0,
  answer: StubProvider['answer'] = (response) => deliver(response),
): Promise<StubProvider> {
  const server = createServer((incoming, response) => {
    const { method, url: path, headers } = incoming;
    const request = { method, path, headers, body: '', atMs: performance.now() };
    stub.requests.push(request);
    // Without the whole body, the connection would be closed and not reused. A request that ends early gets no answer.
    text(incoming).then(
      (body) => stub.answer(response, Object.assign(request, { body })),
      () => response.destroy(),
    );
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const stub: StubProvider = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: [],
    answer,
    stop: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
  return stub;
}

export function deliver(response: ServerResponse): void {
  sendJson(response, DELIVERED);
}

export function sendJson(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
