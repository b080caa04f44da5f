import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../tools/stack/free-port.js';
import { waitUntil } from '../../tools/stack/wait-until.js';
import { basicArgs, KEEP_EVERY_WRITE, RedisServer } from './redis-server.js';

/** The Sentinels' name of the master. */
export const MASTER_NAME = 'octo';

/** All Redis servers of one test suite. `removeAll` also removes servers whose start failed. */
export class RedisServers {
  private readonly all: RedisServer[] = [];
  private readonly busPorts = new Map<RedisServer, number>();

  /** Starts a server that saves nothing, unless the arguments say so. */
  start(...args: string[]): Promise<RedisServer> {
    const options = ['--save', '', '--repl-diskless-sync-delay', '0', ...args];
    return this.add((port, dir) => [...basicArgs(port, dir), ...options]);
  }

  /** Resolves when the Sentinel knows the master and its replica. It alone decides that a master is down. */
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
    const isComplete = async (node: RedisServer): Promise<boolean> => {
      const info = String(await node.call('CLUSTER', 'INFO'));
      return info.includes('cluster_state:ok') && info.includes('cluster_slots_ok:16384');
    };
    await waitUntil(async () => (await Promise.all(nodes.map(isComplete))).every(Boolean), {
      what: 'the cluster is complete',
    });
    return nodes;
  }

  async removeAll(): Promise<void> {
    await Promise.all(this.all.splice(0).map((server) => server.remove()));
  }

  private async startClusterNode(): Promise<RedisServer> {
    const busPort = await freePort();
    const cluster = ['--cluster-enabled', 'yes', '--cluster-port', String(busPort), '--cluster-node-timeout', '2000'];
    const node = await this.start(...cluster, '--cluster-require-full-coverage', 'no', ...KEEP_EVERY_WRITE);
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

/** Sentinel settings for one master. The timeout is long enough that a busy machine does not look like a dead master. */
function monitoring({ port }: RedisServer): string[] {
  return [
    `sentinel monitor ${MASTER_NAME} 127.0.0.1 ${port} 1`,
    `sentinel down-after-milliseconds ${MASTER_NAME} 1500`,
    // Long, so that the Sentinel does not restore a replica's link that a test has cut.
    `sentinel failover-timeout ${MASTER_NAME} 60000`,
  ];
}
