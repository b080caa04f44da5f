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

/** Postgres is down: Redis alone answers. */
const down = () => Promise.reject(new Error('down'));
const NOTHING_STORED = { isRevoked: down, revokedWithin: down };

const trusts = (revocations: Revocations): boolean => Date.now() < revocations.trustedUntil;

/** A process that has subscribed. */
async function newProcess(url: string): Promise<{ revocations: Revocations; received: string[] }> {
  const revocations = new Revocations(url, NOTHING_STORED);
  revocations.onApplicationBootstrap();
  open.push(revocations);
  const received: string[] = [];
  revocations.listen({ revoked: (sessionIds) => void received.push(...sessionIds), mayHaveMissed: () => {} });
  await waitUntil(async () => trusts(revocations) && (await revocations.stateOf('any')) === 'live', {
    what: 'connected',
  });
  return { revocations, received };
}

describe('revocations', () => {
  it('are received and found after a failover, by subscriptions that report possible misses', async () => {
    const master = await servers.start();
    const replica = await servers.start('--replicaof', '127.0.0.1', String(master.port));
    await waitUntil(async () => String(await master.call('INFO', 'replication')).includes('state=online'), {
      what: 'the replica follows',
    });
    const sentinel = await servers.startSentinel(master);
    const url = `redis-sentinel://${sentinel.address}/${MASTER_NAME}`;
    const [one, other] = await Promise.all([newProcess(url), newProcess(url)]);
    await one.revocations.revoke(['first'], 60_000);
    expect(other.received).toEqual(['first']);
    await waitUntil(async () => (await replica.call('EXISTS', 'revoked:first')) === 1, { what: 'the first is copied' });
    await master.kill();
    expect(await one.revocations.stateOf('first')).toBe('revoked');
    // Late until the connection to the dead master is seen to be closed. Neither answer accepts a token.
    expect(['late', 'unknown']).toContain(await one.revocations.stateOf('other'));
    await sentinel.call('SENTINEL', 'FAILOVER', MASTER_NAME);
    const late = await newProcess(url);
    expect(await late.revocations.stateOf('first')).toBe('revoked');
    await waitUntil(() => trusts(one.revocations) && trusts(other.revocations), {
      what: 'both have subscribed again',
    });
    await one.revocations.revoke(['second'], 60_000);
    expect(other.received).toEqual(['first', 'second']);
  });

  it('hold up only the first request while Redis is frozen, and never pass for live', async () => {
    const server = await servers.start();
    const { revocations } = await newProcess(`redis://${server.address}`);
    server.freeze();
    expect(await revocations.stateOf('any')).toBe('late');
    const startedMs = performance.now();
    expect(await revocations.stateOf('any')).not.toBe('live');
    expect(performance.now() - startedMs).toBeLessThan(100);
    server.thaw();
    await waitUntil(async () => (await revocations.stateOf('any')) === 'live', { what: 'Redis answers again' });
  });

  it('of several sessions reach every node of a cluster', async () => {
    const nodes = await servers.startCluster(3);
    const url = `redis-cluster://${nodes.map((node) => node.address).join(',')}`;
    const [one, other] = await Promise.all([newProcess(url), newProcess(url)]);
    const sessions = Array.from({ length: 12 }, (_, i) => `session-${i}`);
    await one.revocations.revoke(sessions, 60_000);
    await waitUntil(() => other.received.length === sessions.length, { what: 'all are received' });
    const states = await Promise.all(sessions.map((session) => other.revocations.stateOf(session)));
    expect(new Set(states)).toEqual(new Set(['revoked']));
  });
});
