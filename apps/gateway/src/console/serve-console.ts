import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import { Logger } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/** `dist/console`, from `dist/apps/gateway/src/console`. */
const ROOT = fileURLToPath(new URL('../../../../console', import.meta.url));
const YEAR_MS = 31_536_000_000;

/** Serves the web page of `apps/console` at `/console` and below: every path that is not a file is one of its pages. */
export async function serveConsole(app: NestFastifyApplication): Promise<void> {
  const index = join(ROOT, 'index.html');
  if (!existsSync(index)) {
    new Logger('console').warn('the console is not built', { missing: index });
    return;
  }
  const fastify: FastifyInstance = app.getHttpAdapter().getInstance();
  // Their names change with their content.
  await fastify.register(fastifyStatic, {
    root: join(ROOT, 'assets'),
    prefix: '/console/assets/',
    decorateReply: false,
    index: false,
    preCompressed: true,
    immutable: true,
    maxAge: YEAR_MS,
  });
  const page = readFileSync(index);
  const send = (_request: FastifyRequest, reply: FastifyReply): FastifyReply =>
    reply.header('cache-control', 'no-cache').type('text/html; charset=utf-8').send(page);
  fastify.get('/console', send);
  fastify.get('/console/*', send);
}
