import { afterEach, describe, expect, it } from '@jest/globals';
import { MASTER_NAME, RedisServers } from '../../../verification/engines/redis-servers.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { Revocations } from './revocations.js';

const servers = new RedisServers();
const open: Revocations[] = [];

afterEach(async () => {
  for (const revocations of open.splice(0)) revocations.onApplicationShutdown();
  await servers.removeAll();
});

/** A process that has subscribed. */
async function newProcess(url: string): Promise<{ revocations: Revocations; heard: string[] }> {
  const revocations = new Revocations(url);
  open.push(revocations);
  const heard: string[] = [];
  revocations.listen({ revoked: (sessionIds) => void heard.push(...sessionIds), mayHaveMissed: () => {} });
  await waitUntil(async () => revocations.hears && (await revocations.stateOf('any')) === 'live', {
    what: 'connected',
  });
  return { revocations, heard };
}

describe('revocations', () => {
  it('are heard and found after a failover, by subscriptions that say they may have missed some', async () => {
    const master = await servers.start();
    const replica = await servers.start('--replicaof', '127.0.0.1', String(master.port));
    await waitUntil(async () => String(await master.call('INFO', 'replication')).includes('state=online'), {
      what: 'the replica follows',
    });
    const sentinel = await servers.startSentinel(master);
    const url = `redis-sentinel://${sentinel.address}/${MASTER_NAME}`;
    const [one, other] = await Promise.all([newProcess(url), newProcess(url)]);
    await one.revocations.revoke(['first'], 60_000);
    expect(other.heard).toEqual(['first']);
    await waitUntil(async () => (await replica.call('EXISTS', 'revoked:first')) === 1, { what: 'the first is copied' });
    await master.kill();
    expect(await one.revocations.stateOf('first')).toBe('unknown');
    await sentinel.call('SENTINEL', 'FAILOVER', MASTER_NAME);
    await waitUntil(async () => (await one.revocations.stateOf('first')) === 'revoked', { what: 'the first is found' });
    await waitUntil(() => one.revocations.hears && other.revocations.hears, { what: 'both have subscribed again' });
    await one.revocations.revoke(['second'], 60_000);
    expect(other.heard).toEqual(['first', 'second']);
  });

  it('are not waited for by anybody but the first while Redis stands still', async () => {
    const server = await servers.start();
    const { revocations } = await newProcess(`redis://${server.address}`);
    server.freeze();
    const first = revocations.stateOf('any');
    expect(await Promise.race([first, revocations.stateOf('any')])).toBe('unknown');
    const startedMs = performance.now();
    expect(await revocations.stateOf('any')).toBe('unknown');
    expect(performance.now() - startedMs).toBeLessThan(50);
    server.thaw();
    await waitUntil(async () => (await revocations.stateOf('any')) === 'live', { what: 'it is asked again' });
  });

  it('of several sessions at once reach every node of a cluster', async () => {
    const nodes = await servers.startCluster(3);
    const url = `redis-cluster://${nodes.map((node) => node.address).join(',')}`;
    const [one, other] = await Promise.all([newProcess(url), newProcess(url)]);
    const sessions = Array.from({ length: 12 }, (_, i) => `session-${i}`);
    await one.revocations.revoke(sessions, 60_000);
    await waitUntil(() => other.heard.length === sessions.length, { what: 'all are heard' });
    const states = await Promise.all(sessions.map((session) => other.revocations.stateOf(session)));
    expect(new Set(states)).toEqual(new Set(['revoked']));
  });
});
