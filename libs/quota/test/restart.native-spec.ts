import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { RedisServer } from '../../../verification/engines/redis-server.js';
import { RedisServers } from '../../../verification/engines/redis-servers.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { LIMIT, LivePod, type LivePodOptions, PERMIT_MS, TIMEOUT_MS } from './live-pod.js';

const PROVIDER = 'mine';
const SAVED = ['--appendonly', 'yes', '--appendfsync', 'always'];
const servers = new RedisServers();
const pods: LivePod[] = [];
let server: RedisServer;

afterEach(async () => {
  await Promise.all(pods.splice(0).map((pod) => pod.close()));
  await servers.removeAll();
});

async function newPod(options: Partial<LivePodOptions> = {}): Promise<LivePod> {
  const pod = await LivePod.connect({ url: server.url, providers: [PROVIDER], ...options });
  pods.push(pod);
  return pod;
}

async function firstPermit(pod: LivePod): Promise<void> {
  await waitUntil(async () => (await pod.spend(PROVIDER, 1)) === 1, { what: 'a permit' });
}

describe('a Redis that saves every write', () => {
  it('continues count and epoch after it was killed', async () => {
    server = await servers.start(...SAVED);
    const [one, other] = await Promise.all([newPod(), newPod()]);
    const before = (await one.spend(PROVIDER, 3)) + (await other.spend(PROVIDER, 3));
    const epoch = (await one.quota.state(PROVIDER))?.epoch;
    await server.kill();
    expect(await one.take(PROVIDER)).toBeUndefined();
    await server.start();
    await Promise.all([one, other].map((pod) => waitUntil(() => pod.quota.isConnected, { what: 'connected' })));
    await firstPermit(one);
    const after = 1 + (await one.spend(PROVIDER)) + (await other.spend(PROVIDER));
    expect({ before, after }).toEqual({ before: 6, after: LIMIT - 6 });
    expect((await one.quota.state(PROVIDER))?.epoch).toBe(epoch);
    expect([...one.eventsNamed('forgotten'), ...other.eventsNamed('forgotten')]).toEqual([]);
  });

  it('has not lost its count for a pod whose step it applied without a reply', async () => {
    server = await servers.start(...SAVED);
    const pod = await newPod();
    await pod.spend(PROVIDER, 2);
    server.freeze();
    const asked = pod.take(PROVIDER);
    await server.kill();
    expect(await asked).toBeUndefined();
    await server.start();
    await firstPermit(pod);
    expect(await pod.spend(PROVIDER)).toBe(LIMIT - 3);
    expect(pod.eventsNamed('forgotten')).toEqual([]);
  });
});

describe('a Redis that returns empty', () => {
  it.each([
    ['restarted', async () => server.kill().then(() => server.start())],
    ['flushed', async () => server.call('FLUSHALL')],
  ])('%s: the pod notices, and the quota opens only after the longest possible block', async (_how, lose) => {
    server = await servers.start();
    const blockMs = 1_000;
    const pod = await newPod({ blockMs });
    expect(await pod.spend(PROVIDER, 4)).toBe(4);
    const lostAtMs = performance.now();
    await lose();
    await firstPermit(pod);
    expect(performance.now() - lostAtMs).toBeGreaterThan(blockMs + PERMIT_MS + TIMEOUT_MS);
    expect(pod.eventsNamed('forgotten', 'reopened')).toEqual(['forgotten', 'reopened']);
    // The provider may still be in an open window: permits go one at a time at first, but none is lost.
    expect(await pod.spend(PROVIDER)).toBe(LIMIT - 1);
  });
});

describe('a Redis in trouble', () => {
  beforeEach(async () => {
    server = await servers.start();
  });

  it('after SCRIPT FLUSH gets the scripts again', async () => {
    const pod = await newPod();
    expect(await pod.spend(PROVIDER, 4)).toBe(4);
    await server.call('SCRIPT', 'FLUSH');
    expect(await pod.spend(PROVIDER)).toBe(LIMIT - 4);
    expect(pod.eventsNamed('store lost', 'forgotten')).toEqual([]);
  });

  it('that kills all client connections counts every retried step once', async () => {
    const both = await Promise.all([newPod(), newPod()]);
    let granted = 0;
    const spending = both.map(async (pod) => {
      await waitUntil(
        async () => {
          const spent = await pod.spend(PROVIDER, 1);
          granted += spent;
          return (await pod.quota.state(PROVIDER))?.state === 'blocked';
        },
        { what: 'the quota is spent', everyMs: 1 },
      );
    });
    for (let kills = 0; kills < 5; kills += 1) {
      await server.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      const before = granted;
      await waitUntil(() => granted > before || granted >= LIMIT, { what: 'permits again' });
    }
    await Promise.all(spending);
    // Pods return the permits of lost replies: the window is used completely, and no slot twice.
    expect(granted).toBe(LIMIT);
    expect(both.flatMap((pod) => pod.eventsNamed('forgotten'))).toEqual([]);
  });

  it('that pauses writes makes no caller wait beyond the budget, and counts the paused step', async () => {
    const pod = await newPod({ budgetMs: 50 });
    await firstPermit(pod);
    await server.call('CLIENT', 'PAUSE', 60_000, 'WRITE');
    expect(await pod.quota.reserve(PROVIDER)).toEqual({ granted: false, reason: 'unavailable' });
    await server.call('CLIENT', 'UNPAUSE');
    let granted = 1;
    await waitUntil(
      async () => {
        granted += await pod.spend(PROVIDER);
        return (await pod.quota.state(PROVIDER))?.state === 'blocked';
      },
      { what: 'the quota is spent' },
    );
    expect(granted).toBe(LIMIT);
  });

  it('that is out of memory grants nothing, is reported once, and continues the count when it has room', async () => {
    const pod = await newPod();
    expect(await pod.spend(PROVIDER, 4)).toBe(4);
    await server.call('CONFIG', 'SET', 'maxmemory', 1);
    for (let asked = 0; asked < 5; asked += 1) expect(await pod.take(PROVIDER)).toBeUndefined();
    expect(pod.eventsNamed('store lost')).toHaveLength(1);
    expect(pod.events).toContainEqual(
      expect.objectContaining({ error: expect.objectContaining({ message: expect.stringContaining('OOM') }) }),
    );
    await server.call('CONFIG', 'SET', 'maxmemory', 0);
    await firstPermit(pod);
    expect(await pod.spend(PROVIDER)).toBe(LIMIT - 5);
    expect(pod.eventsNamed('store lost', 'store back', 'forgotten')).toEqual(['store lost', 'store back']);
  });
});

describe('a Redis that denies access', () => {
  beforeEach(async () => {
    server = await servers.start();
    await server.call('ACL', 'SETUSER', 'admin', 'on', '>secret', '~*', '&*', '+@all');
    server.account = { username: 'admin', password: 'secret' };
  });

  it.each([
    ['a wrong password', 'admin:wrong@', 'WRONGPASS'],
    ['no password', '', 'NOAUTH'],
  ])('because of %s: grants nothing, and the errors name the reason', async (_what, account, reason) => {
    await server.call('ACL', 'SETUSER', 'default', 'resetpass', '>other');
    const pod = new LivePod({ url: `redis://${account}${server.address}`, providers: [PROVIDER] });
    pods.push(pod);
    await waitUntil(() => pod.errors.length > 0, { what: 'an error' });
    expect(await pod.quota.reserve(PROVIDER)).toEqual({ granted: false, reason: 'unavailable' });
    expect(pod.errors.map(String)).toEqual(pod.errors.map(() => expect.stringContaining(reason)));
    expect(pod.events).toEqual([]);
  });

  it('to the key of the provider: grants nothing, and one event names the reason', async () => {
    await server.call('ACL', 'SETUSER', 'narrow', 'on', '>secret', '~other:*', '+@all');
    const pod = await newPod({ url: `redis://narrow:secret@${server.address}` });
    for (let asked = 0; asked < 3; asked += 1) {
      expect(await pod.quota.reserve(PROVIDER)).toEqual({ granted: false, reason: 'unavailable' });
    }
    expect(pod.eventsNamed('store lost')).toHaveLength(1);
    expect(String(pod.events[0] && 'error' in pod.events[0] ? pod.events[0].error : '')).toContain('NOPERM');
    await server.call('ACL', 'SETUSER', 'narrow', '~*');
    await firstPermit(pod);
    expect(pod.eventsNamed('store lost', 'store back')).toEqual(['store lost', 'store back']);
  });
});
