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
  it('goes on with the same count and epoch after it was killed', async () => {
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
    expect([...one.told('forgotten'), ...other.told('forgotten')]).toEqual([]);
  });

  it('is not taken for lost by a pod whose step it applied without being able to say so', async () => {
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
    expect(pod.told('forgotten')).toEqual([]);
  });
});

describe('a Redis that comes back with nothing', () => {
  it.each([
    ['restarted', async () => server.kill().then(() => server.start())],
    ['flushed', async () => server.call('FLUSHALL')],
  ])('%s: is noticed, and opens only after the longest its block can last', async (_how, lose) => {
    server = await servers.start();
    const blockMs = 1_000;
    const pod = await newPod({ blockMs });
    expect(await pod.spend(PROVIDER, 4)).toBe(4);
    const lostAtMs = performance.now();
    await lose();
    await firstPermit(pod);
    expect(performance.now() - lostAtMs).toBeGreaterThan(blockMs + PERMIT_MS + TIMEOUT_MS);
    expect(pod.told('forgotten', 'reopened')).toEqual(['forgotten', 'reopened']);
    // Another block may still be open at the provider, so the first ones go one at a time; none is lost.
    expect(await pod.spend(PROVIDER)).toBe(LIMIT - 1);
  });
});

describe('a Redis in trouble', () => {
  beforeEach(async () => {
    server = await servers.start();
  });

  it('that has forgotten the scripts is told them again', async () => {
    const pod = await newPod();
    expect(await pod.spend(PROVIDER, 4)).toBe(4);
    await server.call('SCRIPT', 'FLUSH');
    expect(await pod.spend(PROVIDER)).toBe(LIMIT - 4);
    expect(pod.told('store lost', 'forgotten')).toEqual([]);
  });

  it('that hangs up on everybody is asked again, and counts each once', async () => {
    const both = await Promise.all([newPod(), newPod()]);
    let granted = 0;
    const spending = both.map(async (pod) => {
      await waitUntil(
        async () => {
          const spent = await pod.spend(PROVIDER, 1);
          granted += spent;
          return (await pod.quota.state(PROVIDER))?.state === 'blocked';
        },
        { what: 'it is spent', everyMs: 1 },
      );
    });
    for (let kills = 0; kills < 5; kills += 1) {
      await server.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      const before = granted;
      await waitUntil(() => granted > before || granted >= LIMIT, { what: 'permits again' });
    }
    await Promise.all(spending);
    // A permit whose reply was lost is given back: all of the window is used, and none of it twice.
    expect(granted).toBe(LIMIT);
    expect(both.flatMap((pod) => pod.told('forgotten'))).toEqual([]);
  });

  it('that pauses writes keeps nobody waiting, and counts what it was asked', async () => {
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
      { what: 'it is spent' },
    );
    expect(granted).toBe(LIMIT);
  });

  it('that is full grants nothing and says so once, and grants the rest when it has room', async () => {
    const pod = await newPod();
    expect(await pod.spend(PROVIDER, 4)).toBe(4);
    await server.call('CONFIG', 'SET', 'maxmemory', 1);
    for (let asked = 0; asked < 5; asked += 1) expect(await pod.take(PROVIDER)).toBeUndefined();
    expect(pod.told('store lost')).toHaveLength(1);
    expect(pod.events).toContainEqual(
      expect.objectContaining({ error: expect.objectContaining({ message: expect.stringContaining('OOM') }) }),
    );
    await server.call('CONFIG', 'SET', 'maxmemory', 0);
    await firstPermit(pod);
    expect(await pod.spend(PROVIDER)).toBe(LIMIT - 5);
    expect(pod.told('store lost', 'store back', 'forgotten')).toEqual(['store lost', 'store back']);
  });
});

describe('a Redis that does not let us in', () => {
  beforeEach(async () => {
    server = await servers.start();
    await server.call('ACL', 'SETUSER', 'admin', 'on', '>secret', '~*', '&*', '+@all');
    server.account = { username: 'admin', password: 'secret' };
  });

  it.each([
    ['a wrong password', 'admin:wrong@', 'WRONGPASS'],
    ['no password', '', 'NOAUTH'],
  ])('for %s: no permit, and errors that name the reason', async (_what, account, reason) => {
    await server.call('ACL', 'SETUSER', 'default', 'resetpass', '>other');
    const pod = new LivePod({ url: `redis://${account}${server.address}`, providers: [PROVIDER] });
    pods.push(pod);
    await waitUntil(() => pod.errors.length > 0, { what: 'an error' });
    expect(await pod.quota.reserve(PROVIDER)).toEqual({ granted: false, reason: 'unavailable' });
    expect(pod.errors.map(String)).toEqual(pod.errors.map(() => expect.stringContaining(reason)));
    expect(pod.events).toEqual([]);
  });

  it('to this key: no permit, one loss told that names the reason', async () => {
    await server.call('ACL', 'SETUSER', 'narrow', 'on', '>secret', '~other:*', '+@all');
    const pod = await newPod({ url: `redis://narrow:secret@${server.address}` });
    for (let asked = 0; asked < 3; asked += 1) {
      expect(await pod.quota.reserve(PROVIDER)).toEqual({ granted: false, reason: 'unavailable' });
    }
    expect(pod.told('store lost')).toHaveLength(1);
    expect(String(pod.events[0] && 'error' in pod.events[0] ? pod.events[0].error : '')).toContain('NOPERM');
    await server.call('ACL', 'SETUSER', 'narrow', '~*');
    await firstPermit(pod);
    expect(pod.told('store lost', 'store back')).toEqual(['store lost', 'store back']);
  });
});
