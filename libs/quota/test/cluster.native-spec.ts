import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import type { RedisServer } from '../../../verification/engines/redis-server.js';
import { RedisServers } from '../../../verification/engines/redis-servers.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { quotaKey } from '../src/store/keys.js';
import { LIMIT, LivePod } from './live-pod.js';

const servers = new RedisServers();
const pods: LivePod[] = [];
let nodes: RedisServer[];
let url: string;

beforeAll(async () => {
  nodes = await servers.startCluster(3);
  url = `redis-cluster://${nodes.map((node) => node.address).join(',')}`;
});
afterEach(async () => {
  await Promise.all(pods.splice(0).map((pod) => pod.close()));
});
afterAll(() => servers.removeAll());

async function newPod(providers: string[]): Promise<LivePod> {
  const pod = await LivePod.connect({ url, providers });
  pods.push(pod);
  return pod;
}

const nodeAt = (index: number): RedisServer => nodes[index] as RedisServer;

async function slotOf(provider: string): Promise<number> {
  return Number(await nodeAt(0).call('CLUSTER', 'KEYSLOT', quotaKey(provider)));
}

/** A random provider name whose hash lives on that node. */
async function providerOn(index: number): Promise<string> {
  const slots = Math.ceil(16_384 / nodes.length);
  for (;;) {
    const name = `cluster-${randomBytes(6).toString('hex')}`;
    if (Math.floor((await slotOf(name)) / slots) === index) return name;
  }
}

const grantedOn = async (node: RedisServer, provider: string): Promise<unknown> =>
  node.call('HGET', quotaKey(provider), 'granted');

describe('a cluster', () => {
  it('loses all connections of a pod that is closed', async () => {
    const clients = async (): Promise<number> => {
      const lists = await Promise.all(nodes.map((node) => node.call('CLIENT', 'LIST')));
      return lists.join('').trim().split('\n').length;
    };
    const before = await clients();
    const providers = await Promise.all([0, 1, 2].map(providerOn));
    const pod = await newPod(providers);
    for (const provider of providers) expect(await pod.spend(provider, 1)).toBe(1);
    expect(await clients()).toBeGreaterThanOrEqual(before + 3);
    await pod.close();
    await waitUntil(async () => (await clients()) === before, { what: 'the pod has disconnected from every node' });
  });

  it('counts providers on every node exactly for two pods that start at once', async () => {
    const providers = await Promise.all([0, 0, 1, 1, 2, 2].map(providerOn));
    const both = await Promise.all([newPod(providers), newPod(providers)]);
    const spentOf = async (provider: string): Promise<number> => {
      const spent = await Promise.all(both.map((pod) => pod.spend(provider)));
      return spent.reduce((sum, each) => sum + each, 0);
    };
    expect(await Promise.all(providers.map(spentOf))).toEqual(providers.map(() => LIMIT));
    for (const [i, provider] of providers.entries()) {
      expect(await grantedOn(nodeAt(Math.floor(i / 2)), provider)).toBe(String(LIMIT));
    }
    expect(both.flatMap((pod) => pod.eventsNamed('store lost', 'forgotten'))).toEqual([]);
  });

  it('loses only the providers of a node that dies, and continues their count after its restart', async () => {
    const dying = await providerOn(1);
    const living = await providerOn(2);
    const pod = await newPod([dying, living]);
    expect([await pod.spend(dying, 4), await pod.spend(living, 4)]).toEqual([4, 4]);
    await nodeAt(1).kill();
    expect(await pod.quota.reserve(dying)).toEqual({ granted: false, reason: 'unavailable' });
    expect(await pod.spend(living, 3)).toBe(3);
    await nodeAt(1).start();
    await waitUntil(async () => (await pod.spend(dying, 1)) === 1, { what: 'a permit' });
    expect([await pod.spend(dying), await pod.spend(living)]).toEqual([LIMIT - 5, LIMIT - 7]);
    const events = pod.events.filter(({ event }) => event !== 'blocked');
    expect(events.map(({ event, provider }) => [event, provider])).toEqual([
      ['store lost', dying],
      ['store back', dying],
    ]);
  });

  it('keeps the count while a slot moves to another node, and after it has moved', async () => {
    const provider = await providerOn(0);
    const [from, to] = [nodeAt(0), nodeAt(2)];
    const slot = await slotOf(provider);
    const pod = await newPod([provider]);
    expect(await pod.spend(provider, 3)).toBe(3);
    await to.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', String(await from.call('CLUSTER', 'MYID')));
    await from.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', String(await to.call('CLUSTER', 'MYID')));
    expect(await pod.spend(provider, 1)).toBe(1);
    await from.call('MIGRATE', '127.0.0.1', to.port, quotaKey(provider), 0, 5_000);
    expect(await pod.spend(provider, 1)).toBe(1);
    for (const node of [to, from]) {
      await node.call('CLUSTER', 'SETSLOT', slot, 'NODE', String(await to.call('CLUSTER', 'MYID')));
    }
    expect(await pod.spend(provider)).toBe(LIMIT - 5);
    expect(await grantedOn(to, provider)).toBe(String(LIMIT));
    expect(pod.eventsNamed('store lost', 'forgotten')).toEqual([]);
  });

  it('grants nothing while all nodes are down, and continues the count after their restart', async () => {
    const providers = await Promise.all([0, 1, 2].map(providerOn));
    const pod = await newPod(providers);
    for (const provider of providers) expect(await pod.spend(provider, 4)).toBe(4);
    await Promise.all(nodes.map((node) => node.kill()));
    const asked = await Promise.all(providers.map((provider) => pod.quota.reserve(provider)));
    expect(asked).toEqual(providers.map(() => ({ granted: false, reason: 'unavailable' })));
    await Promise.all(nodes.map((node) => node.start()));
    for (const provider of providers) {
      await waitUntil(async () => (await pod.spend(provider, 1)) === 1, { what: 'a permit' });
      expect(await pod.spend(provider)).toBe(LIMIT - 5);
    }
    expect(pod.eventsNamed('forgotten')).toEqual([]);
  });
});
