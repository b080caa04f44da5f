import { isUtf8 } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { FastifyInstance } from 'fastify';
import { ProblemException, type BodyProblems } from './problem.js';

export interface HttpOptions {
  bodyLimitBytes: number;
  bodyProblems: BodyProblems;
  /** Whose `X-Forwarded-*` is believed: addresses or subnets, comma separated; empty: nobody's. */
  trustProxy: string;
}

/** 1 to 128 visible characters that are safe in a header and in a log. */
const REQUEST_ID = /^[\w.:/+=@-]{1,128}$/;

/** Fastify set up the way all apps speak HTTP: request ids, JSON bodies only, limits. */
export function createAdapter({ bodyLimitBytes, bodyProblems, trustProxy }: HttpOptions): FastifyAdapter {
  const adapter = new FastifyAdapter({
    bodyLimit: bodyLimitBytes,
    trustProxy: trustProxy === '' ? false : trustProxy.split(',').map((address) => address.trim()),
    genReqId: requestId,
    // Requests on kept-alive connections are still served while the server drains.
    return503OnClosing: false,
    requestTimeout: 30_000,
  });
  const fastify = adapter.getInstance<FastifyInstance>();
  fastify.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    done();
  });
  acceptOnlyJson(fastify, bodyProblems);
  return adapter;
}

function requestId(request: { headers: IncomingMessage['headers'] }): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

function acceptOnlyJson(fastify: FastifyInstance, bodyProblems: BodyProblems): void {
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    // A request that needs no body may still name its media type.
    if (body.length === 0) return done(null, undefined);
    if (!isUtf8(body)) return done(new ProblemException(bodyProblems.invalid, 'The body is not UTF-8.'));
    try {
      done(null, JSON.parse(body.toString('utf8')));
    } catch (cause) {
      done(new ProblemException(bodyProblems.invalid, `The body is not JSON: ${(cause as Error).message}.`, { cause }));
    }
  });
}
