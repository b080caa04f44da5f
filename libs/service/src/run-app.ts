import { type DynamicModule, Logger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { z } from 'zod';
import { createAdapter, type HttpOptions } from './http-server.js';
import { JsonLogger } from './json-logger.js';
import { ProblemFilter } from './problem.js';
import { Readiness } from './readiness.js';
import { readSettings, SettingsError } from './settings.js';

interface CommonSettings {
  HOST: string;
  PORT: number;
  LOG_LEVEL: 'debug' | 'info' | 'warn' | 'error';
  SHUTDOWN_TIMEOUT_MS: number;
}

export interface AppDefinition<Settings extends CommonSettings> {
  name: string;
  settings: z.ZodType<Settings>;
  module: (settings: Settings) => DynamicModule;
  http?: (settings: Settings) => Partial<HttpOptions>;
  /** Adds routes and hooks that are not controllers; called before the app listens. */
  configure?: (app: NestFastifyApplication, settings: Settings) => Promise<void> | void;
}

const DEFAULT_HTTP: HttpOptions = {
  bodyLimitBytes: 16_384,
  bodyProblems: { invalid: 'invalid_request', tooLarge: 'payload_too_large' },
  trustProxy: '',
};

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
  const http = { ...DEFAULT_HTTP, ...definition.http?.(settings) };
  const app = await NestFactory.create<NestFastifyApplication>(definition.module(settings), createAdapter(http), {
    logger,
    bodyParser: false,
    abortOnError: false,
  });
  app.useGlobalFilters(new ProblemFilter(http.bodyProblems));
  await definition.configure?.(app, settings);
  stopOnSignal(app, settings.SHUTDOWN_TIMEOUT_MS);
  await app.listen({ port: settings.PORT, host: settings.HOST });
  const url = await app.getUrl();
  new Logger('start').log('listening', { url, pid: process.pid });
  process.send?.({ url });
}

function stopOnSignal(app: NestFastifyApplication, timeoutMs: number): void {
  const logger = new Logger('stop');
  let stopping = false;
  const stop = (reason: string): void => {
    if (stopping) return;
    stopping = true;
    logger.log('stopping', { reason });
    app.get(Readiness).stop();
    setTimeout(() => {
      logger.error('requests in flight did not finish in time', { timeoutMs });
      process.exit(1);
    }, timeoutMs).unref();
    app.close().then(
      () => process.exit(0),
      (error: unknown) => {
        logger.error('cannot stop cleanly', { err: error });
        process.exit(1);
      },
    );
  };
  process.once('SIGTERM', () => stop('SIGTERM'));
  process.once('SIGINT', () => stop('SIGINT'));
  // A parent that started this process with a channel has ended: do not outlive it.
  process.once('disconnect', () => stop('parent process ended'));
}
