import { type ChildProcess, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis, type RedisOptions } from 'ioredis';
import { freePort } from '../../tools/stack/free-port.js';
import { waitUntil } from '../../tools/stack/wait-until.js';
import { hasExited, spawnServer, stopProcess } from './spawn-server.js';

/** `embedded`: the engine of `npm start`, which keeps nothing on disk. */
export type RedisProgram = 'redis-server' | 'embedded';

/** Every write is on disk before it is answered. */
export const KEEP_EVERY_WRITE = ['--appendonly', 'yes', '--appendfsync', 'always'];

const EMBEDDED = 'dist/tools/stack/embedded-redis.js';
/** A server that does not answer by then did not start: another process took its port. */
const START_TIMEOUT_MS = 10_000;
const START_ATTEMPTS = 3;

/** A Redis process that can be killed, frozen, and started again with what it has saved. */
export class RedisServer {
  readonly dir = mkdtempSync(join(tmpdir(), 'octo-redis-'));
  port = 0;
  /** The login of `call`. */
  account: Pick<RedisOptions, 'username' | 'password'> = {};
  private child: ChildProcess | undefined;

  /** @param argsFor arguments of redis-server; undefined: run the embedded engine */
  constructor(private readonly argsFor: ((port: number, dir: string) => string[]) | undefined) {}

  /** Starts a server on a free port. It saves nothing, unless the arguments say so. */
  static async start(program: RedisProgram = 'redis-server', ...args: string[]): Promise<RedisServer> {
    const argsFor = (port: number, dir: string): string[] => [...basicArgs(port, dir), '--save', '', ...args];
    const server = new RedisServer(program === 'embedded' ? undefined : argsFor);
    await server.start();
    return server;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  get url(): string {
    return `redis://${this.address}`;
  }

  get pid(): number {
    return this.child?.pid ?? 0;
  }

  /** Resolves when the server answers. The first start chooses the port, later ones keep it. */
  async start(): Promise<void> {
    const isFirst = this.port === 0;
    for (let attempt = 1; ; attempt += 1) {
      if (isFirst) this.port = await freePort();
      const child = this.spawn();
      this.child = child;
      const what = `redis-server answers on port ${this.port}`;
      await waitUntil(() => hasExited(child) || this.answers(), { what, deadlineMs: START_TIMEOUT_MS });
      if (!hasExited(child)) return;
      if (attempt === START_ATTEMPTS) throw new Error(`redis-server exited with code ${child.exitCode}`);
    }
  }

  /** Runs one command, on a connection of its own. */
  async call(name: string, ...args: (string | number)[]): Promise<unknown> {
    const redis = new Redis(this.port, '127.0.0.1', {
      ...this.account,
      lazyConnect: true,
      enableReadyCheck: false,
      retryStrategy: null,
      // After a failed connection ioredis waits this long for its end, which has already come.
      disconnectTimeout: 100,
    });
    redis.on('error', () => {});
    try {
      await redis.connect();
      return await redis.call(name, ...args);
    } finally {
      redis.disconnect();
    }
  }

  /** As when the machine loses power: clients get no notice. */
  kill(): Promise<void> {
    return stopProcess(this.child, 'SIGKILL');
  }

  freeze(): void {
    this.child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.child?.kill('SIGCONT');
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.dir, { recursive: true, force: true });
  }

  private spawn(): ChildProcess {
    if (this.argsFor !== undefined) return spawnServer('redis-server', this.argsFor(this.port, this.dir));
    return spawnServer(process.execPath, [EMBEDDED], { env: { PORT: String(this.port) } });
  }

  private async answers(): Promise<boolean> {
    try {
      return (await this.call('PING')) === 'PONG';
    } catch {
      return false;
    }
  }
}

export function basicArgs(port: number, dir: string): string[] {
  return ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir];
}

/** Whether this machine has a redis-server. */
export function hasRedisServer(): boolean {
  return spawnSync('redis-server', ['--version']).status === 0;
}
