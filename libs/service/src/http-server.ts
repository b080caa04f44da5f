import { isUtf8 } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { PROBLEMS } from '#contracts';
import { type BodyProblems, problemBody, ProblemException, problemOf, sendProblem } from './problem.js';

export interface HttpOptions {
  bodyLimitBytes: number;
  bodyProblems: BodyProblems;
  /** Proxies whose `X-Forwarded-*` is trusted: addresses or subnets, comma separated; empty for none. */
  trustProxy: string;
}

/** Timeouts for receiving a whole request and its headers. */
const REQUEST_TIMEOUT_MS = 30_000;
const HEADERS_TIMEOUT_MS = 10_000;

/** 1 to 128 visible characters, safe in a header and in a log. */
const REQUEST_ID = /^[\w.:/+=@-]{1,128}$/;

/** The Fastify of every app: request ids, JSON bodies only, limits. */
export function createAdapter({ bodyLimitBytes, bodyProblems, trustProxy }: HttpOptions): FastifyAdapter {
  const adapter = new FastifyAdapter({
    bodyLimit: bodyLimitBytes,
    trustProxy: trustProxy === '' ? false : trustProxy.split(',').map((address) => address.trim()),
    genReqId: requestIdOf,
    // While the server drains, it still serves requests on kept-alive connections.
    return503OnClosing: false,
    requestTimeout: REQUEST_TIMEOUT_MS,
    http: { headersTimeout: HEADERS_TIMEOUT_MS, connectionsCheckingInterval: 2_000 },
    frameworkErrors: (error: unknown, request: FastifyRequest, reply: FastifyReply) =>
      sendProblem(request, reply, problemOf(error, bodyProblems)),
    clientErrorHandler: refuseConnection,
  });
  const fastify = adapter.getInstance<FastifyInstance>();
  fastify.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    done();
  });
  acceptOnlyJson(fastify, bodyProblems);
  return adapter;
}

function requestIdOf(request: { headers: IncomingMessage['headers'] }): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

function acceptOnlyJson(fastify: FastifyInstance, bodyProblems: BodyProblems): void {
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    // A request without a body may still name its media type.
    if (body.length === 0) return done(null, undefined);
    if (!isUtf8(body)) return done(new ProblemException(bodyProblems.invalid, 'Send the body as UTF-8.'));
    try {
      done(null, JSON.parse(body.toString('utf8')));
    } catch (cause) {
      done(new ProblemException(bodyProblems.invalid, `Send valid JSON: ${(cause as Error).message}.`, { cause }));
    }
  });
}

/** Answers input that Node cannot parse as a request, on the bare socket. */
function refuseConnection(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const problem = unreadable(error.code);
  const requestId = randomUUID();
  const body = JSON.stringify(problemBody(problem, { instance: '/', requestId }));
  const [status] = PROBLEMS[problem.code];
  socket.end(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
      'Content-Type: application/problem+json',
      `Content-Length: ${Buffer.byteLength(body)}`,
      `X-Request-Id: ${requestId}`,
      'Connection: close',
      '',
      body,
    ].join('\r\n'),
  );
}

function unreadable(code: string | undefined): ProblemException {
  if (code === 'HPE_HEADER_OVERFLOW') return new ProblemException('headers_too_large', 'Send smaller headers.');
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return new ProblemException('request_timeout', `Send the whole request within ${REQUEST_TIMEOUT_MS / 1000} s.`);
  }
  return new ProblemException('invalid_request', 'Send a valid HTTP request.');
}
