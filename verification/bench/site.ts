import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { ManagedProcess } from '../../tools/stack/managed-process.js';
import { createDatabase, type NativeEngine, startNativePostgres, startNativeRedis } from '../engines/native-engines.js';
import { LoadGenerator } from './load.js';
import type { ProviderEntry } from './provider-entries.js';
import { stopOnInterrupt } from './stop-on-interrupt.js';
import { Tokens } from './tokens.js';

const readySchema = z.object({ url: z.string() });

/** A process that says where it listens. */
export interface Server {
  origin: string;
  pid: number;
}

/** What all that is measured stands on: engines of this machine, a provider, somebody who signs tokens, a client. */
export class Site {
  readonly dir = mkdtempSync(join(tmpdir(), 'octo-bench-'));
  private readonly processes: ManagedProcess[] = [];
  private readonly endings: (() => void)[] = [];
  private gateways = 0;

  private constructor(
    readonly redis: NativeEngine,
    readonly postgres: NativeEngine,
    readonly tokens: Tokens,
    readonly load: LoadGenerator,
  ) {}

  static async start(): Promise<Site> {
    const [redis, postgres, tokens, load] = await Promise.all([
      startNativeRedis({ args: ['--appendonly', 'yes'] }),
      startNativePostgres({ isDurable: true }),
      Tokens.start(),
      LoadGenerator.start(),
    ]);
    const site = new Site(redis, postgres, tokens, load);
    stopOnInterrupt(() => site.stop());
    return site;
  }

  /** Before everything else is stopped. */
  atEnd(end: () => void): void {
    this.endings.push(end);
  }

  startProvider(): Promise<Server> {
    return this.startServer('bench-provider', join(import.meta.dirname, 'bench-provider.js'));
  }

  /** The real gateway, with a database of its own unless it is given one. */
  async startGateway(providers: readonly ProviderEntry[], env: NodeJS.ProcessEnv = {}): Promise<Server> {
    this.gateways += 1;
    const name = `gateway-${this.gateways}`;
    const providersFile = join(this.dir, `${name}.yaml`);
    // JSON is YAML.
    writeFileSync(providersFile, JSON.stringify({ currency: 'USD', providers }));
    return this.startServer(name, join(import.meta.dirname, '../../apps/gateway/src/main.js'), {
      NODE_ENV: 'production',
      PORT: '0',
      HOST: '127.0.0.1',
      REDIS_URL: this.redis.url,
      DATABASE_URL: env['DATABASE_URL'] ?? (await createDatabase(this.postgres.url)),
      PROVIDERS_FILE: providersFile,
      QUOTA_WHEN_FORGOTTEN: 'fresh',
      MESSAGES_PER_SECOND: '1000000',
      ...this.tokens.env,
      ...env,
    });
  }

  async startServer(name: string, entry: string, env: NodeJS.ProcessEnv = {}): Promise<Server> {
    const server = new ManagedProcess({
      name,
      entry,
      env: { PATH: process.env['PATH'], ...env },
      // As the image starts them.
      nodeOptions: [],
      onLine: (_name, line) => {
        if (/"level":"(warn|error|fatal)"/.test(line) || !line.startsWith('{')) console.log(`${name}: ${line}`);
      },
    });
    this.processes.push(server);
    await server.start();
    return { origin: readySchema.parse(server.readyMessage).url, pid: server.pid ?? 0 };
  }

  async stop(): Promise<void> {
    for (const end of this.endings.splice(0)) end();
    this.load.stop();
    this.tokens.stop();
    await Promise.all(this.processes.map((server) => server.stop()));
    await Promise.all([this.redis.stop(), this.postgres.stop()]);
    rmSync(this.dir, { recursive: true, force: true });
  }
}
