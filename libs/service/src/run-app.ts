import { once } from 'node:events';
import type { IncomingMessage, Server as HttpServer } from 'node:http';
import { Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type DynamicModule, Logger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { z } from 'zod';
import { createAdapter, DEFAULT_HTTP, type HttpOptions } from './http-server.js';
import { JsonLogger } from './json-logger.js';
import { type ApiTexts, describeApi, serveDocs, serveOpenApi } from './open-api.js';
import { ProblemFilter } from './problem.js';
import { Readiness } from './readiness.js';
import { serveMetrics, ServiceModule } from './service.module.js';
import { type commonSettings, readSettings, SettingsError } from './settings.js';

/** How often a server that stops looks for connections that no request uses. */
const CLOSE_UNUSED_EVERY_MS = 50;

type CommonSettings = { PORT: number } & z.infer<z.ZodObject<typeof commonSettings>>;

export interface AppDefinition<Settings extends CommonSettings> {
  name: string;
  settings: z.ZodType<Settings>;
  module: (settings: Settings) => DynamicModule;
  http?: (settings: Settings) => Partial<HttpOptions>;
  /** Serves the API's description at `/openapi.json` and `/docs`. */
  docs?: ApiTexts;
  /** Adds routes and hooks that are not controllers; called before the app listens. */
  configure?: (app: NestFastifyApplication, settings: Settings) => Promise<void> | void;
}

/**
 * Runs an app until SIGTERM or SIGINT, which let requests in flight finish first. Bad settings or a failed start end the
 * process with code 1 and one log line with the reason.
 */
export async function runApp<Settings extends CommonSettings>(definition: AppDefinition<Settings>): Promise<void> {
  try {
    await start(definition);
  } catch (error) {
    const reason = error instanceof SettingsError ? { problems: error.problems } : { err: error };
    new JsonLogger({ app: definition.name, level: 'info' }).error('cannot start', reason);
    process.exit(1);
  }
}

async function start<Settings extends CommonSettings>(definition: AppDefinition<Settings>): Promise<void> {
  const settings = readSettings(definition.settings, process.env);
  const logger = new JsonLogger({ app: definition.name, level: settings.LOG_LEVEL });
  const { HOST, PORT, METRICS_PORT, MAX_CONNECTIONS } = settings;
  const readiness = new Readiness();
  const lifetime: Lifetime = { readiness, isClosing: false };
  const http: HttpOptions = {
    ...DEFAULT_HTTP,
    maxConnections: MAX_CONNECTIONS,
    isStopping: () => lifetime.isClosing,
    ...(definition.docs && { inlineStylePages: ['/docs'] }),
    ...definition.http?.(settings),
  };
  const root = definition.module(settings);
  const service = ServiceModule.with({ readiness, METRICS_PORT });
  const app = await NestFactory.create<NestFastifyApplication>(
    { ...root, imports: [service, ...(root.imports ?? [])] },
    createAdapter(http),
    { logger, bodyParser: false, abortOnError: false },
  );
  app.useGlobalFilters(new ProblemFilter(http.bodyProblems));
  await definition.configure?.(app, settings);
  if (definition.docs) describe(app, definition.docs);
  stopOnSignal(app, lifetime, settings);
  process.on('SIGUSR2', () => new Logger('log').log('log level changed', { logLevel: logger.toggleDebug() }));
  const metricsPort = METRICS_PORT === undefined ? undefined : await serveMetrics({ host: HOST, port: METRICS_PORT });
  await app.listen({ port: PORT, host: HOST });
  const url = await app.getUrl();
  new Logger('start').log('listening', { url, pid: process.pid, ...(metricsPort !== undefined && { metricsPort }) });
  process.send?.({ url });
}

function describe(app: NestFastifyApplication, docs: ApiTexts): void {
  serveOpenApi(app, () => describeApi(app, [], docs));
  serveDocs(app);
}

interface Lifetime {
  readiness: Readiness;
  /** Each answer closes its connection. */
  isClosing: boolean;
}

function stopOnSignal(
  app: NestFastifyApplication,
  lifetime: Lifetime,
  { SHUTDOWN_TIMEOUT_MS: timeoutMs, SHUTDOWN_DELAY_MS, SHUTDOWN_DRAIN_MS }: CommonSettings,
): void {
  const { readiness } = lifetime;
  const logger = new Logger('stop');
  const closeUnused = unusedConnections(app.getHttpServer());
  const stop = async (reason: string, { delayMs, drainMs } = { delayMs: 0, drainMs: 0 }): Promise<void> => {
    if (readiness.isStopping) return;
    logger.log('stopping', { reason, delayMs, drainMs });
    readiness.stop();
    // Before a drain, connections stay: a connection that is new when the process stops to listen may be lost.
    lifetime.isClosing = drainMs === 0;
    await sleep(delayMs);
    lifetime.isClosing = true;
    if (drainMs > 0) await drain(app.getHttpServer(), drainMs);
    setTimeout(() => {
      logger.error('requests in flight did not finish in time', { timeoutMs });
      process.exit(1);
    }, timeoutMs).unref();
    setInterval(closeUnused, CLOSE_UNUSED_EVERY_MS).unref();
    try {
      await app.close();
    } catch (error) {
      logger.error('cannot stop cleanly', { err: error });
      process.exit(1);
    }
    process.exit(0);
  };
  const slowly = { delayMs: SHUTDOWN_DELAY_MS, drainMs: SHUTDOWN_DRAIN_MS };
  process.once('SIGTERM', () => void stop('SIGTERM', slowly));
  process.once('SIGINT', () => void stop('SIGINT'));
  // A parent that started this process with a channel has ended: do not outlive it.
  process.once('disconnect', () => void stop('parent process ended'));
}

/**
 * A server that closes waits for every connection, and ends those that are idle at that moment only. Node does not count a
 * connection as idle before its first request, and browsers open some in advance.
 * @returns closes the connections that no request uses
 */
function unusedConnections(server: HttpServer): () => void {
  const untouched = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    untouched.add(socket);
    socket.once('close', () => untouched.delete(socket));
  });
  server.on('request', ({ socket }: IncomingMessage) => untouched.delete(socket));
  return () => {
    if (server.listening) return;
    server.closeIdleConnections();
    for (const socket of untouched) socket.destroy();
  };
}

/**
 * Takes no new connection. Resolves when the last one has closed: each answer closes its connection, and balancers close
 * idle ones. A process that closes an idle connection itself loses the request that a balancer is sending on it.
 */
async function drain(server: Server, timeoutMs: number): Promise<void> {
  // Not the method of the HTTP server, which also closes idle connections.
  Server.prototype.close.call(server);
  await Promise.race([once(server, 'close'), sleep(timeoutMs)]);
}
