import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import httpProxy, { type FastifyHttpProxyOptions } from '@fastify/http-proxy';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Agent, type Dispatcher } from 'undici';
import { ProblemException, problemOf, sendProblem } from '#service';

const TIMEOUT_MS = 10_000;
const BODY_LIMIT_BYTES = 16_384;
const BODY_PROBLEMS = { invalid: 'invalid_request', tooLarge: 'payload_too_large' } as const;

/** Forwards accounts and keys to auth: with one public origin, cookies need no CORS. */
export async function forwardToAuth(app: NestFastifyApplication, authUrl: string): Promise<void> {
  const fastify: FastifyInstance = app.getHttpAdapter().getInstance();
  await fastify.register(async (scope) => {
    acceptAnyBody(scope);
    scope.setErrorHandler((error, request, reply) => sendProblem(request, reply, problemOf(error, BODY_PROBLEMS)));
    for (const prefix of ['/auth', '/.well-known/jwks.json'])
      await scope.register(httpProxy, forwardTo(authUrl, prefix));
  });
}

/** Reads the whole body first: the gateway refuses one that is too large, and no connection is left half read. */
function acceptAnyBody(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser<Buffer>(
    '*',
    { parseAs: 'buffer', bodyLimit: BODY_LIMIT_BYTES },
    (_request, body, done) => {
      done(null, Readable.from([body]));
    },
  );
}

/** The signal that the caller has left, on its way to undici: the headers are the only part of a request that is ours. */
const CALLER_LEFT = Symbol('CALLER_LEFT');
type HeadersToAuth = IncomingHttpHeaders & { [CALLER_LEFT]?: AbortSignal | undefined };

function forwardTo(authUrl: string, prefix: string): FastifyHttpProxyOptions {
  const callersLeft = new WeakMap<FastifyRequest, AbortSignal>();
  return {
    upstream: authUrl,
    prefix,
    rewritePrefix: prefix,
    proxyPayloads: false,
    // A request that auth refuses or does not answer is the caller's to repeat.
    retryMethods: [],
    undici: { request: requestThatEndsWithItsCaller() },
    preHandler: (request, reply, done) => {
      callersLeft.set(request, signalOfClose(reply.raw));
      done();
    },
    replyOptions: {
      // The gateway answers `Expect: 100-continue` itself, and undici refuses the header.
      rewriteRequestHeaders: (request, { expect: _expect, ...headers }): HeadersToAuth => ({
        ...headers,
        'x-request-id': request.id,
        'x-forwarded-for': request.ip,
        'x-forwarded-host': request.host,
        'x-forwarded-proto': request.protocol,
        [CALLER_LEFT]: callersLeft.get(request as FastifyRequest),
      }),
      // Headers of the connection to auth, not of the caller's (RFC 9110, 7.6.1).
      rewriteHeaders: ({ connection: _connection, 'keep-alive': _keepAlive, ...headers }) => headers,
      onError: (reply) => unreachable(reply.request as FastifyRequest, reply as FastifyReply),
    },
  };
}

/** Aborted when the connection closes before the response was sent. */
function signalOfClose(response: ServerResponse): AbortSignal {
  const left = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) left.abort();
  });
  return left.signal;
}

function requestThatEndsWithItsCaller(): Dispatcher['request'] {
  const agent = new Agent({ headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS, connect: { timeout: 1_000 } });
  const request = (options: Dispatcher.RequestOptions, callback: Callback): void => {
    const { [CALLER_LEFT]: signal = null } = options.headers as HeadersToAuth;
    agent.request({ ...options, signal }, callback);
  };
  return request as Dispatcher['request'];
}

type Callback = (error: Error | null, response: Dispatcher.ResponseData<unknown>) => void;

function unreachable(request: FastifyRequest, reply: FastifyReply): void {
  const detail = 'The auth service cannot be reached at the moment. Try again.';
  sendProblem(request, reply, new ProblemException('unavailable', detail, { retryAfterMs: 1_000 }));
}
