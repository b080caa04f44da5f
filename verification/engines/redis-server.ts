import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../tools/stack/free-port.js';
import { ManagedProcess } from '../../tools/stack/managed-process.js';

/** `keeping`: a redis-server that has every write on disk. `forgetting`: the embedded engine, which keeps nothing. */
export type RedisKind = 'keeping' | 'forgetting';

/** A Redis of a proof's own, which can be taken away and given back on the same port. */
export class RedisServer {
  private readonly dir = mkdtempSync(join(tmpdir(), 'octo-prove-'));
  private server: ManagedProcess | undefined;

  private constructor(
    private readonly kind: RedisKind,
    private readonly port: number,
  ) {}

  static async start(kind: RedisKind): Promise<RedisServer> {
    const redis = new RedisServer(kind, await freePort());
    await redis.startAgain();
    return redis;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  async startAgain(): Promise<void> {
    const entry = join(
      import.meta.dirname,
      this.kind === 'keeping' ? 'native-redis.js' : '../../tools/stack/embedded-redis.js',
    );
    const env = { PATH: process.env['PATH'], PORT: String(this.port), DATA_DIR: this.dir };
    this.server = new ManagedProcess({ name: 'redis', entry, env, onLine: () => {} });
    await this.server.start();
  }

  /** As a crash does: without a word to its clients. */
  async crash(): Promise<void> {
    const ended = this.server?.stop();
    // The native engine's process must live to end the server it started.
    if (this.kind === 'forgetting') this.server?.kill('SIGKILL');
    await ended;
  }

  /** Stands still until `resume`: only for the embedded engine, which is a process of its own. */
  pause(): void {
    this.server?.kill('SIGSTOP');
  }

  resume(): void {
    this.server?.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    this.resume();
    await this.server?.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Whether this machine has a redis-server. */
export function hasNativeRedis(): boolean {
  return spawnSync('redis-server', ['--version']).status === 0;
}
