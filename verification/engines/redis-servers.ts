import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis, type RedisOptions } from 'ioredis';
import { freePort } from '../../tools/stack/free-port.js';
import { waitUntil } from '../../tools/stack/wait-until.js';

/** The name under which the Sentinels know the master. */
export const MASTER_NAME = 'octo';
/** A server that is not ready by then did not start: its port was taken meanwhile. */
const START_MS = 10_000;
const STARTS = 3;

/** A redis-server of this machine: it can be killed, frozen, and started again with what it has saved. */
export class RedisServer {
  readonly dir = mkdtempSync(join(tmpdir(), 'octo-redis-'));
  port = 0;
  /** What `call` logs in with. */
  account: Pick<RedisOptions, 'username' | 'password'> = {};
  private child: ChildProcess | undefined;

  constructor(private readonly argsFor: (port: number, dir: string) => string[] | Promise<string[]>) {}

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  get url(): string {
    return `redis://${this.address}`;
  }

  /** Resolves when it answers; the first start finds a port, the later ones keep it. */
  async start(): Promise<void> {
    const isFirst = this.port === 0;
    for (let tries = 1; ; tries += 1) {
      if (isFirst) this.port = await freePort();
      const child = spawn('redis-server', await this.argsFor(this.port, this.dir), { stdio: 'ignore' });
      this.child = child;
      try {
        await waitUntil(() => isOver(child) || this.answers(), { what: 'the server answers', deadlineMs: START_MS });
      } catch (error) {
        await this.kill();
        throw error;
      }
      if (!isOver(child)) return;
      if (tries === STARTS) throw new Error(`redis-server ended with code ${child.exitCode}`);
    }
  }

  /** Runs one command, on a connection of its own. */
  async call(name: string, ...args: (string | number)[]): Promise<unknown> {
    const redis = new Redis(this.port, '127.0.0.1', {
      ...this.account,
      lazyConnect: true,
      enableReadyCheck: false,
      retryStrategy: null,
      // After a connection that failed ioredis waits that long for its end, which has been.
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

  /** Without a warning, as when the machine loses power. */
  kill(): Promise<void> {
    const { child } = this;
    if (child === undefined || isOver(child)) return Promise.resolve();
    return new Promise((resolve) => {
      child.once('exit', () => resolve());
      child.kill('SIGKILL');
    });
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

  private async answers(): Promise<boolean> {
    try {
      return (await this.call('PING')) === 'PONG';
    } catch {
      return false;
    }
  }
}

/** Servers of one suite; `removeAll` ends every one of them, also those whose start failed. */
export class RedisServers {
  private readonly all: RedisServer[] = [];

  /** Keeps nothing, unless the arguments say so. */
  async start(...args: string[]): Promise<RedisServer> {
    return this.add((port, dir) => {
      const own = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir];
      return [...own, '--save', '', '--repl-diskless-sync-delay', '0', ...args];
    });
  }

  /** Resolves when it knows the master and its replica. It alone decides that a master is down. */
  async startSentinel(master: RedisServer): Promise<RedisServer> {
    const sentinel = await this.add((port, dir) => {
      const conf = join(dir, 'sentinel.conf');
      const lines = ['bind 127.0.0.1', `port ${port}`, `dir ${dir}`, ...monitoring(master)];
      writeFileSync(conf, `${lines.join('\n')}\n`);
      return [conf, '--sentinel'];
    });
    await waitUntil(async () => String(await sentinel.call('SENTINEL', 'REPLICAS', MASTER_NAME)).includes(',ok,'), {
      what: 'the Sentinel knows the replica',
    });
    return sentinel;
  }

  /** Masters without replicas that share the slots evenly and save every write. */
  async startCluster(size: number): Promise<RedisServer[]> {
    const nodes = await Promise.all(Array.from({ length: size }, () => this.startClusterNode()));
    const [first, ...others] = nodes;
    const slots = Math.ceil(16_384 / size);
    for (const [i, node] of nodes.entries()) {
      await node.call('CLUSTER', 'ADDSLOTSRANGE', i * slots, Math.min(16_383, (i + 1) * slots - 1));
      await node.call('CLUSTER', 'SET-CONFIG-EPOCH', i + 1);
    }
    const busPort = first === undefined ? 0 : this.busPorts.get(first);
    for (const node of others) await node.call('CLUSTER', 'MEET', '127.0.0.1', first?.port ?? 0, busPort ?? 0);
    const isWhole = async (node: RedisServer): Promise<boolean> => {
      const info = String(await node.call('CLUSTER', 'INFO'));
      return info.includes('cluster_state:ok') && info.includes('cluster_slots_ok:16384');
    };
    await waitUntil(async () => (await Promise.all(nodes.map(isWhole))).every(Boolean), {
      what: 'the cluster is whole',
    });
    return nodes;
  }

  async removeAll(): Promise<void> {
    await Promise.all(this.all.splice(0).map((server) => server.remove()));
  }

  private readonly busPorts = new Map<RedisServer, number>();

  private async startClusterNode(): Promise<RedisServer> {
    const busPort = await freePort();
    const cluster = ['--cluster-enabled', 'yes', '--cluster-port', String(busPort), '--cluster-node-timeout', '2000'];
    const saved = ['--appendonly', 'yes', '--appendfsync', 'always'];
    const node = await this.start(...cluster, '--cluster-require-full-coverage', 'no', ...saved);
    this.busPorts.set(node, busPort);
    return node;
  }

  private async add(argsFor: (port: number, dir: string) => string[]): Promise<RedisServer> {
    const server = new RedisServer(argsFor);
    this.all.push(server);
    await server.start();
    return server;
  }
}

/** How a Sentinel is told of a master: long enough that a busy machine is not taken for a dead one. */
function monitoring({ port }: RedisServer): string[] {
  return [
    `sentinel monitor ${MASTER_NAME} 127.0.0.1 ${port} 1`,
    `sentinel down-after-milliseconds ${MASTER_NAME} 1500`,
    // Nor does it mend the replica's link meanwhile, which a test has cut.
    `sentinel failover-timeout ${MASTER_NAME} 60000`,
  ];
}

function isOver(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}
