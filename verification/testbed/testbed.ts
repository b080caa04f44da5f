import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { hasPostgres, type PostgresOptions, PostgresServer } from '../engines/postgres-server.js';
import { hasRedisServer, RedisServer } from '../engines/redis-server.js';
import { ManagedProcess } from '../../tools/stack/managed-process.js';

const readySchema = z.object({ url: z.string() });
/** The log keeps this many of its newest lines. */
const LOG_LINES_MAX = 5_000;

/** A process that reports its address when it is ready. */
export interface Server {
  origin: string;
  pid: number;
}

/** The engines of one run, every process that runs on them, and a folder. All of it ends with `stop`. */
export class Testbed {
  readonly dir = mkdtempSync(join(tmpdir(), 'octo-testbed-'));
  /** Warnings and errors of the processes, and what was done to them. */
  readonly log: string[] = [];
  private readonly stops: (() => Promise<unknown>)[] = [];

  private constructor(
    readonly redis: RedisServer,
    readonly postgres: PostgresServer,
  ) {
    process.once('exit', () => rmSync(this.dir, { recursive: true, force: true }));
  }

  /** @param options.redisArgs arguments of redis-server */
  static async start({ redisArgs, ...options }: PostgresOptions & { redisArgs: string[] }): Promise<Testbed> {
    const engines = [RedisServer.start('redis-server', ...redisArgs), PostgresServer.start(options)] as const;
    return new Testbed(...(await Promise.all(engines)));
  }

  /** Called by `stop` before the engines stop; the last one added is called first. */
  atStop(stop: () => Promise<unknown>): void {
    this.stops.unshift(stop);
  }

  /** Starts a compiled file that reports `{ url }` when it is ready. */
  async startServer(name: string, entry: string, env: NodeJS.ProcessEnv = {}): Promise<Server> {
    const server = new ManagedProcess({
      name,
      entry,
      env: { PATH: process.env['PATH'], ...env },
      // No options of Node, like the container image.
      nodeOptions: [],
      onLine: (from, line) => this.note(from, line),
    });
    this.atStop(() => server.stop());
    await server.start();
    return { origin: readySchema.parse(server.readyMessage).url, pid: server.pid ?? 0 };
  }

  note(name: string, line: string): void {
    if (!/"level":"(warn|error|fatal)"/.test(line) && line.startsWith('{')) return;
    this.log.push(`${new Date().toISOString()} ${name} ${line}`);
    if (this.log.length > LOG_LINES_MAX) this.log.shift();
  }

  async stop(): Promise<void> {
    for (const stop of this.stops.splice(0)) await stop();
    await Promise.all([this.redis.remove(), this.postgres.remove()]);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

export function exitWithoutEngines(): void {
  if (hasRedisServer() && hasPostgres()) return;
  console.log('not run: it needs a redis-server and a Postgres on the PATH');
  process.exit(1);
}

/** Exits on a signal, or when the parent is gone: every process of a testbed ends with this one. */
export function exitOnInterrupt(): void {
  process
    .once('SIGINT', () => process.exit(130))
    .once('SIGTERM', () => process.exit(143))
    .once('disconnect', () => process.exit(1));
}
