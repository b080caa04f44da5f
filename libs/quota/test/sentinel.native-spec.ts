import { afterEach, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import type { RedisServer } from '../../../verification/engines/redis-server.js';
import { MASTER_NAME, RedisServers } from '../../../verification/engines/redis-servers.js';
import { TcpProxy } from '../../../verification/engines/tcp-proxy.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import type { QuotaEvent } from '../src/index.js';
import { quotaKey } from '../src/store/keys.js';
import { LIMIT, LivePod, type LivePodOptions, PERMIT_MS, TIMEOUT_MS } from './live-pod.js';

const PROVIDER = 'mine';
const KEY = quotaKey(PROVIDER);
const servers = new RedisServers();
const pods: LivePod[] = [];
let link: TcpProxy;
let master: RedisServer;
let replica: RedisServer;
let sentinel: RedisServer;

/** A master, a replica that replicates through a link that can be cut, and a Sentinel. */
async function startGroup(): Promise<void> {
  master = await servers.start();
  link = await TcpProxy.to({ host: '127.0.0.1', port: master.port });
  replica = await servers.start('--replicaof', '127.0.0.1', String(link.port));
  await waitUntil(async () => String(await master.call('INFO', 'replication')).includes('state=online'), {
    what: 'the replica follows',
  });
  sentinel = await servers.startSentinel(master);
}

afterEach(async () => {
  await Promise.all(pods.splice(0).map((pod) => pod.close()));
  await Promise.all([servers.removeAll(), link.close()]);
});

const sentinelUrl = (): string => `redis-sentinel://${sentinel.address}/${MASTER_NAME}`;

async function newPod(options: Partial<LivePodOptions> = {}): Promise<LivePod> {
  const pod = await LivePod.connect({ url: sentinelUrl(), providers: [PROVIDER], ...options });
  pods.push(pod);
  return pod;
}

const hashOf = async (server: RedisServer): Promise<string> => JSON.stringify(await server.call('HGETALL', KEY));

async function untilReplicated(): Promise<void> {
  await waitUntil(async () => (await hashOf(master)) === (await hashOf(replica)), {
    what: 'the replica has caught up',
  });
}

async function untilPromoted(): Promise<void> {
  await waitUntil(
    async () => {
      const found = await sentinel.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', MASTER_NAME);
      return Array.isArray(found) && found[1] === String(replica.port);
    },
    { what: 'the Sentinel promotes the replica' },
  );
}

/** Starts the failover, without waiting until the Sentinel notices that the master is down. */
async function failOver(): Promise<void> {
  await sentinel.call('SENTINEL', 'FAILOVER', MASTER_NAME);
  await untilPromoted();
}

async function firstPermit(pod: LivePod): Promise<void> {
  await waitUntil(async () => (await pod.spend(PROVIDER, 1)) === 1, { what: 'a permit' });
}

/** The exit code of a process that only connects and disconnects. */
async function exitCodeOf(url: string): Promise<number> {
  const script = `import { openQuotaRedis } from './dist/libs/quota/src/index.js';
    const redis = openQuotaRedis(process.argv[1]);
    redis.once('ready', () => redis.disconnect());`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, url], { stdio: 'inherit' });
  const timer = setTimeout(() => child.kill('SIGKILL'), 30_000);
  const [code] = (await once(child, 'exit')) as [number];
  clearTimeout(timer);
  return code;
}

const isForgotten = (event: QuotaEvent) => event.event === 'forgotten';

describe('a master that dies', () => {
  it('is replaced by a replica that grants the remaining permits in the same epoch', async () => {
    await startGroup();
    const [one, other] = await Promise.all([newPod(), newPod()]);
    const before = (await one.spend(PROVIDER, 3)) + (await other.spend(PROVIDER, 3));
    await waitUntil(async () => (await one.used(PROVIDER)) === 6, { what: 'six are counted' });
    const epoch = (await one.quota.state(PROVIDER))?.epoch;
    await untilReplicated();
    await master.kill();
    expect(await one.take(PROVIDER)).toBeUndefined();
    await failOver();
    await firstPermit(one);
    await waitUntil(() => other.quota.isConnected, { what: 'the other is connected' });
    const after = 1 + (await one.spend(PROVIDER)) + (await other.spend(PROVIDER));
    expect({ before, after }).toEqual({ before: 6, after: LIMIT - 6 });
    expect((await one.quota.state(PROVIDER))?.epoch).toBe(epoch);
    expect([...one.events, ...other.events].filter(isForgotten)).toEqual([]);
  });

  it('loses steps that the pods report as missing: the quota is blocked, and no slot is granted twice', async () => {
    await startGroup();
    const blockMs = 1_000;
    const both = await Promise.all([newPod({ blockMs }), newPod({ blockMs })]);
    let granted = (await both[0].spend(PROVIDER, 2)) + (await both[1].spend(PROVIDER, 2));
    await waitUntil(async () => (await both[0].used(PROVIDER)) === 4, { what: 'four are counted' });
    await untilReplicated();
    await link.close();
    granted += (await both[0].spend(PROVIDER, 3)) + (await both[1].spend(PROVIDER, 2));
    expect(granted).toBe(9);
    const killedAtMs = performance.now();
    await master.kill();
    // Both pods reserve all the time, while the Sentinel notices, decides and promotes.
    const ask = async (pod: LivePod): Promise<number> => {
      await firstPermit(pod);
      return performance.now();
    };
    const firstAtMs = Math.min(...(await Promise.all(both.map(ask))));
    expect(await hashOf(replica)).not.toBe('[]');
    // The first pod to reconnect reports it for both.
    expect(both.flatMap((pod) => pod.events.filter(isForgotten))).toHaveLength(1);
    // A lower bound: the promotion takes some time as well.
    expect(firstAtMs - killedAtMs).toBeGreaterThan(blockMs + PERMIT_MS + TIMEOUT_MS);
  });

  it('is replaced by a replica that learns of a block from a pod that knows it', async () => {
    await startGroup();
    const [witness, closing] = await Promise.all([newPod(), newPod()]);
    await witness.spend(PROVIDER, 1);
    await waitUntil(async () => (await witness.used(PROVIDER)) === 1, { what: 'one is counted' });
    const permit = await closing.take(PROVIDER);
    await untilReplicated();
    await link.close();
    if (permit !== undefined) {
      closing.quota.settle(permit, { outcome: 'refused', announced: { retryAfterMs: 5_000 } });
    }
    await waitUntil(async () => (await witness.quota.state(PROVIDER))?.state === 'blocked', { what: 'it is blocked' });
    const blockedUntilMs = performance.now() + ((await witness.quota.state(PROVIDER))?.waitMs ?? 0);
    // The pod that saw the refusal is gone with the master: only the witness knows of the block.
    closing.redis.disconnect();
    await master.kill();
    await failOver();
    await waitUntil(async () => (await witness.quota.state(PROVIDER))?.state === 'blocked', {
      what: 'the new master knows of the block',
    });
    const stranger = await newPod();
    const ask = async (pod: LivePod): Promise<number> => {
      await waitUntil(async () => (await pod.take(PROVIDER)) !== undefined, { what: 'a permit' });
      return performance.now();
    };
    const grantedAtMs = Math.min(...(await Promise.all([ask(witness), ask(stranger)])));
    // The pod subtracts the guard from the block it reports.
    expect(grantedAtMs).toBeGreaterThan(blockedUntilMs - 50);
  });
});

describe('an old master that continues beside the new one', () => {
  it('loses its pods at its first READONLY error, with one event, and the Sentinel leads them to the new master', async () => {
    await startGroup();
    const pod = await newPod();
    await pod.spend(PROVIDER, 4);
    await waitUntil(async () => (await pod.used(PROVIDER)) === 4, { what: 'four are counted' });
    await untilReplicated();
    await sentinel.call('SENTINEL', 'REMOVE', MASTER_NAME);
    await master.call('REPLICAOF', '127.0.0.1', replica.port);
    // As for a while in every failover: the replica is not promoted yet, or the Sentinel does not know it.
    expect(pod.redis.status).toBe('ready');
    expect(await pod.spend(PROVIDER)).toBe(0);
    await replica.call('REPLICAOF', 'NO', 'ONE');
    await sentinel.call('SENTINEL', 'MONITOR', MASTER_NAME, '127.0.0.1', replica.port, 1);
    await firstPermit(pod);
    expect(await pod.spend(PROVIDER)).toBe(LIMIT - 5);
    expect(pod.eventsNamed('store lost', 'store back', 'forgotten')).toEqual(['store lost', 'store back']);
    expect(await hashOf(replica)).toContain('"granted","10"');
  });

  it('loses its pods while it hangs, even an idle one', async () => {
    await startGroup();
    const pod = await newPod();
    await pod.spend(PROVIDER, 4);
    // From here on the pod is idle.
    await waitUntil(async () => (await hashOf(master)).includes('"accepted","4"'), {
      what: 'all settlements have arrived',
    });
    await untilReplicated();
    let hasLeft = false;
    pod.redis.once('close', () => (hasLeft = true));
    master.freeze();
    await failOver();
    await waitUntil(() => hasLeft && pod.redis.status === 'ready', {
      what: 'the pod has left the old master',
      deadlineMs: 30_000,
    });
    master.thaw();
    await firstPermit(pod);
    expect(await hashOf(replica)).toContain('"granted","5"');
    expect(pod.eventsNamed('forgotten')).toEqual([]);
  });
});

describe('Sentinels', () => {
  it('and the master lose the connections of a pod that is closed', async () => {
    await startGroup();
    const clientsOf = async (server: RedisServer): Promise<number> =>
      String(await server.call('CLIENT', 'LIST', 'TYPE', 'normal'))
        .trim()
        .split('\n').length;
    const before = { master: await clientsOf(master), sentinel: await clientsOf(sentinel) };
    const pod = await newPod();
    expect(await pod.spend(PROVIDER, 1)).toBe(1);
    expect(await clientsOf(master)).toBe(before.master + 1);
    await pod.close();
    await waitUntil(async () => (await clientsOf(master)) === before.master, {
      what: 'the pod has disconnected from the master',
    });
    await waitUntil(async () => (await clientsOf(sentinel)) === before.sentinel, {
      what: 'the pod has disconnected from the Sentinel',
    });
  });

  it('do not keep a disconnected process alive', async () => {
    await startGroup();
    expect(await exitCodeOf(sentinelUrl())).toBe(0);
  });

  it('that accept connections but never reply are skipped', async () => {
    await startGroup();
    const sockets = new Set<Socket>();
    const silent: Server = createServer((socket) => sockets.add(socket)).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const address = silent.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const pod = await newPod({ url: `redis-sentinel://127.0.0.1:${port},${sentinel.address}/${MASTER_NAME}` });
    expect(await pod.spend(PROVIDER, 1)).toBe(1);
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
});
