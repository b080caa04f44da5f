import { isUtf8 } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { AllowedMethods } from './allowed-methods.js';
import { measureRequests } from './http-metrics.js';
import { isCrossSite } from './is-cross-site.js';
import { type BodyProblems, problemBody, ProblemException, problemOf, sendProblem } from './problem.js';
import { type BrowserOptions, securityHeaders } from './security-headers.js';

export interface HttpOptions extends BrowserOptions {
  bodyLimitBytes: number;
  bodyProblems: BodyProblems;
  /** Whether a body may also be `text/plain`; the handler gets a string. */
  acceptsText: boolean;
  /** Proxies whose `X-Forwarded-*` is trusted: addresses or subnets, comma separated; empty for none. */
  trustProxy: string;
  maxConnections: number;
  /** While true, each answer closes its connection, so that callers and balancers connect to another process. */
  isStopping: () => boolean;
}

export const DEFAULT_HTTP: HttpOptions = {
  bodyLimitBytes: 16_384,
  bodyProblems: { invalid: 'invalid_request', tooLarge: 'payload_too_large' },
  acceptsText: false,
  trustProxy: '',
  maxConnections: 10_000,
  isStopping: () => false,
  publicOrigin: undefined,
  pages: [],
  inlineStylePages: [],
};

/** Timeouts for receiving a whole request and its headers. */
const REQUEST_TIMEOUT_MS = 30_000;
const HEADERS_TIMEOUT_MS = 10_000;
/** How long a refused connection may take to receive its answer. */
const REFUSED_GRACE_MS = 1_000;
/** Most fields, elements and nested values of a body: `JSON.parse` takes 20 ms for 44,000 fields in 400 kB. */
const MAX_JSON_PARTS = 10_000;
/** Deepest nesting of a body: recursive code such as `JSON.stringify` overflows the stack at some thousands. */
const MAX_JSON_DEPTH = 100;

/** 1 to 128 visible characters, safe in a header and in a log. */
const REQUEST_ID = /^[\w.:/+=@-]{1,128}$/;

/** The Fastify of every app: request ids, security headers, metrics, JSON bodies only, limits. */
export function createAdapter(options: HttpOptions): FastifyAdapter {
  const { bodyLimitBytes, bodyProblems, trustProxy, maxConnections } = options;
  const headersFor = securityHeaders(options);
  const adapter = new FastifyAdapter({
    bodyLimit: bodyLimitBytes,
    trustProxy: trustProxy === '' ? false : trustProxy.split(',').map((address) => address.trim()),
    genReqId: requestIdOf,
    // While the server drains, it still serves requests on kept-alive connections.
    return503OnClosing: false,
    requestTimeout: REQUEST_TIMEOUT_MS,
    http: { headersTimeout: HEADERS_TIMEOUT_MS, connectionsCheckingInterval: 2_000 },
    // No hook runs for a URL that cannot be decoded.
    frameworkErrors: (error: unknown, request: FastifyRequest, reply: FastifyReply) =>
      sendProblem(request, reply.headers(headersFor(request.url)), problemOf(error, bodyProblems)),
    clientErrorHandler: refuseConnection,
  });
  const fastify = adapter.getInstance<FastifyInstance>();
  fastify.server.maxConnections = maxConnections;
  receiveRequests(fastify, { ...options, headersFor });
  measureRequests(fastify);
  acceptOnlyJson(fastify, bodyProblems);
  if (options.acceptsText) acceptText(fastify, bodyProblems);
  return adapter;
}

/** Sets the headers of every answer, and refuses what needs no route before its body is read. */
function receiveRequests(
  fastify: FastifyInstance,
  { headersFor, isStopping, publicOrigin }: HttpOptions & { headersFor: (path: string) => Record<string, string> },
): void {
  const allowed = new AllowedMethods();
  fastify.addHook('onRoute', ({ url, method }) => allowed.add(url, method));
  fastify.addHook('onRequest', (request, reply, done) => {
    reply.headers(headersFor(request.url)).header('x-request-id', request.id);
    if (isStopping()) reply.header('connection', 'close');
    if (request.is404) return done(withoutRoute(request, reply, allowed));
    if (!isPlain(request.headers['content-encoding'])) return done(encoded(reply));
    if (isCrossSite(request, publicOrigin)) {
      return done(new ProblemException('forbidden', 'Send the request from a page of this origin.'));
    }
    done();
  });
}

function withoutRoute(request: FastifyRequest, reply: FastifyReply, allowed: AllowedMethods): ProblemException {
  const methods = allowed.of(request.url.split('?', 1)[0] ?? '');
  if (methods.length === 0) return new ProblemException('not_found', 'No resource has this URL.');
  reply.header('allow', methods.join(', '));
  return new ProblemException('method_not_allowed', `Use ${methods.join(' or ')}.`);
}

function isPlain(contentEncoding: string | undefined): boolean {
  return contentEncoding === undefined || contentEncoding.toLowerCase() === 'identity';
}

function encoded(reply: FastifyReply): ProblemException {
  reply.header('accept-encoding', 'identity');
  return new ProblemException('unsupported_media_type', 'Send the body without Content-Encoding.');
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
    if (body.length > MAX_JSON_DEPTH && isTooComplex(body)) {
      const detail = `Send at most ${MAX_JSON_PARTS} fields and elements, nested at most ${MAX_JSON_DEPTH} deep.`;
      return done(new ProblemException(bodyProblems.invalid, detail));
    }
    try {
      done(null, JSON.parse(body.toString('utf8')));
    } catch (cause) {
      done(new ProblemException(bodyProblems.invalid, `Send valid JSON: ${(cause as Error).message}.`, { cause }));
    }
  });
}

function acceptText(fastify: FastifyInstance, bodyProblems: BodyProblems): void {
  fastify.addContentTypeParser<Buffer>('text/plain', { parseAs: 'buffer' }, (_request, body, done) => {
    if (isUtf8(body)) return done(null, body.toString('utf8'));
    done(new ProblemException(bodyProblems.invalid, 'Send the body as UTF-8.'));
  });
}

const [QUOTE, BACKSLASH, COMMA, COLON, BRACKET, BRACE, CLOSING_BRACKET, CLOSING_BRACE] = Buffer.from('"\\,:[{]}');

/** Counts separators and brackets outside of strings: 0.4 ms for 400 kB. */
function isTooComplex(json: Buffer): boolean {
  let parts = 0;
  let depth = 0;
  let isInString = false;
  for (let at = 0; at < json.length && parts <= MAX_JSON_PARTS && depth <= MAX_JSON_DEPTH; at += 1) {
    const byte = json[at];
    if (byte === QUOTE) isInString = !isInString;
    else if (isInString) at += byte === BACKSLASH ? 1 : 0;
    else if (byte === COMMA || byte === COLON) parts += 1;
    else if (byte === BRACKET || byte === BRACE) {
      parts += 1;
      depth += 1;
    } else if (byte === CLOSING_BRACKET || byte === CLOSING_BRACE) depth -= 1;
  }
  return parts > MAX_JSON_PARTS || depth > MAX_JSON_DEPTH;
}

/**
 * Answers input that Node cannot parse as a request, and requests that do not arrive in time, on the bare socket. Node
 * leaves the socket to this function: it stays open until the other side closes it or `destroy` does.
 */
function refuseConnection(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const problem = unreadable(error.code);
  const requestId = randomUUID();
  const body = JSON.stringify(problemBody(problem, { instance: '/', requestId }));
  const { status } = problem;
  setTimeout(() => socket.destroy(), REFUSED_GRACE_MS).unref();
  socket.end(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
      'Content-Type: application/problem+json',
      `Content-Length: ${Buffer.byteLength(body)}`,
      `X-Request-Id: ${requestId}`,
      'X-Content-Type-Options: nosniff',
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
