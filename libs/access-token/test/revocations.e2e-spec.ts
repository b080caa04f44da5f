import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { AccessTokenSigner, AccessTokenVerifier, EFFECTIVE_AFTER_MS, publicKeysOf, Revocations } from '#access-token';
import { RedisServer } from '../../../verification/engines/redis-server.js';
import { TcpProxy } from '../../../verification/engines/tcp-proxy.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ISSUED = { issuer: 'octo', audience: 'octo' };
const TTL_MS = 900_000;

let redis: RedisServer;
let proxy: TcpProxy;
const open: Revocations[] = [];

beforeEach(async () => {
  redis = await RedisServer.start('embedded');
  proxy = await TcpProxy.to({ host: '127.0.0.1', port: redis.port });
});
afterEach(async () => {
  for (const revocations of open.splice(0)) revocations.onApplicationShutdown();
  await proxy.close();
  await redis.remove();
});

/** What Postgres knows, and whether it is down. */
class Stored {
  readonly revoked = new Set<string>();
  isDown = false;
  lookups = 0;

  async isRevoked(id: string): Promise<boolean> {
    this.lookups += 1;
    if (this.isDown) throw new Error('down');
    return this.revoked.has(id);
  }

  async revokedWithin(): Promise<Map<string, number>> {
    if (this.isDown) throw new Error('down');
    return new Map([...this.revoked].map((id) => [id, 1]));
  }
}

/** A process that verifies tokens and reaches Redis directly or through the proxy. */
async function newProcess({ port, stored = new Stored() }: { port: number; stored?: Stored }) {
  const revocations = new Revocations(`redis://127.0.0.1:${port}`, stored);
  revocations.onApplicationBootstrap();
  open.push(revocations);
  const verifier = new AccessTokenVerifier({
    ...ISSUED,
    keys: publicKeysOf([publicKey]),
    revocations,
    apiKeys: { verify: async () => ({ outcome: 'refused', reason: 'invalid' }) },
    whenRedisDown: 'accept',
  });
  await waitUntil(() => isTrusted(revocations), { what: 'subscribed' });
  return { revocations, verifier, stored };
}

const isTrusted = (revocations: Revocations): boolean => Date.now() < revocations.trustedUntil;

/** Past the time after a subscription in which Postgres is asked first. */
async function settled(stored: Stored, revocations: Revocations): Promise<void> {
  const asksRedisOnly = async (): Promise<boolean> => {
    const before = stored.lookups;
    await revocations.stateOf('any');
    return stored.lookups === before;
  };
  await waitUntil(asksRedisOnly, { what: 'Redis is asked first', everyMs: 100 });
}

async function newToken(role: 'user' | 'admin' = 'user'): Promise<{ token: string; sid: string }> {
  const sid = randomUUID();
  const signer = new AccessTokenSigner({ privateKey, ...ISSUED });
  const { token } = await signer.sign({ sub: randomUUID(), sid, paidAccess: true, role });
  return { token, sid };
}

function block(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}

/** Blocks twelve turns of the event loop, each for longer than Redis takes. */
async function withLateLoop<Result>(work: Promise<Result>): Promise<Result> {
  for (let turns = 0; turns < 12; turns += 1) {
    block(150);
    await nextTurn(); // oxlint-disable-line no-await-in-loop -- one block in each turn
  }
  return work;
}

describe('a revoked token', () => {
  it('is refused 256 times while the event loop is late and Redis is healthy', async () => {
    const { verifier, revocations, stored } = await newProcess({ port: redis.port });
    await settled(stored, revocations);
    const { token, sid } = await newToken();
    await redis.call('SET', `revoked:${sid}`, '1');
    stored.isDown = true;
    const verifications = Promise.all(Array.from({ length: 256 }, async () => verifier.verify(token)));
    const outcomes = (await withLateLoop(verifications)).map(({ outcome }) => outcome);
    expect(outcomes.filter((outcome) => outcome === 'valid')).toEqual([]);
    expect(new Set(outcomes)).toEqual(new Set(['refused']));
  });

  it('is refused when Redis takes 500 ms to answer', async () => {
    const { verifier, revocations, stored } = await newProcess({ port: proxy.port });
    await settled(stored, revocations);
    const { token, sid } = await newToken();
    await redis.call('SET', `revoked:${sid}`, '1');
    stored.isDown = true;
    proxy.delayReplies(500);
    expect(await verifier.verify(token)).toEqual({ outcome: 'refused', reason: 'revoked' });
  });

  it('is undecided while Redis is connected but silent and Postgres is down, for admins and users', async () => {
    const { verifier, revocations, stored } = await newProcess({ port: proxy.port });
    await settled(stored, revocations);
    const tokens = await Promise.all([newToken('user'), newToken('admin')]);
    stored.isDown = true;
    proxy.holdReplies();
    const verifications = await Promise.all(tokens.map(async ({ token }) => verifier.verify(token)));
    expect(verifications.map(({ outcome }) => outcome)).toEqual(['undecided', 'undecided']);
  });

  it('is found in Postgres while Redis is connected but silent', async () => {
    const { verifier, revocations, stored } = await newProcess({ port: proxy.port });
    await settled(stored, revocations);
    const [revoked, live] = await Promise.all([newToken(), newToken()]);
    stored.revoked.add(revoked.sid);
    proxy.holdReplies();
    expect(await verifier.verify(revoked.token)).toEqual({ outcome: 'refused', reason: 'revoked' });
    expect(await verifier.verify(live.token)).toMatchObject({ outcome: 'valid', caller: { paidAccess: true } });
  });

  it('is found in Postgres while Redis is stopped, also after it was cached as live', async () => {
    const { verifier, revocations, stored } = await newProcess({ port: redis.port });
    const { token, sid } = await newToken();
    expect(await verifier.verify(token)).toMatchObject({ outcome: 'valid' });
    await redis.kill();
    await waitUntil(() => !isTrusted(revocations), { what: 'the connection is lost' });
    expect(await verifier.verify(token)).toMatchObject({ outcome: 'valid', caller: { paidAccess: true } });
    stored.revoked.add(sid);
    expect(await verifier.verify(token)).toEqual({ outcome: 'refused', reason: 'revoked' });
  });

  it('is refused within EFFECTIVE_AFTER_MS of its commit, though the process that revoked it has lost Redis', async () => {
    const { verifier, stored } = await newProcess({ port: redis.port });
    const { token, sid } = await newToken();
    expect(await verifier.verify(token)).toMatchObject({ outcome: 'valid' });
    stored.revoked.add(sid);
    const committedMs = performance.now();
    const isRefused = async (): Promise<boolean> => (await verifier.verify(token)).outcome === 'refused';
    await waitUntil(isRefused, { what: 'the token is refused' });
    expect(performance.now() - committedMs).toBeLessThan(EFFECTIVE_AFTER_MS);
  });

  it('stays refused after Redis was emptied, by a process that heard of it and by one that did not', async () => {
    const [one, other] = await Promise.all([newProcess({ port: redis.port }), newProcess({ port: proxy.port })]);
    const { token, sid } = await newToken();
    await one.revocations.revoke([sid], TTL_MS);
    await redis.call('FLUSHALL');
    one.stored.isDown = other.stored.isDown = true;
    for (const { verifier } of [one, other]) {
      expect(await verifier.verify(token)).toEqual({ outcome: 'refused', reason: 'revoked' });
    }
    const late = await newProcess({ port: redis.port });
    late.stored.revoked.add(sid);
    expect(await late.verifier.verify(token)).toEqual({ outcome: 'refused', reason: 'revoked' });
  });
});

describe('while neither Redis nor Postgres can be asked', () => {
  it('a user is accepted without paid access, and an admin is undecided', async () => {
    const { verifier, revocations, stored } = await newProcess({ port: redis.port });
    const [user, admin] = await Promise.all([newToken('user'), newToken('admin')]);
    await Promise.all([verifier.verify(user.token), verifier.verify(admin.token)]);
    stored.isDown = true;
    await redis.kill();
    // Each connection closes in its own time.
    await waitUntil(async () => (await revocations.stateOf('any')) === 'unknown', {
      what: 'both connections are lost',
    });
    expect(await verifier.verify(user.token)).toMatchObject({ outcome: 'valid', caller: { paidAccess: false } });
    expect(await verifier.verify(admin.token)).toEqual({ outcome: 'undecided', reason: 'revocations' });
  });
});

describe('revoke', () => {
  it('resolves when the other process has acknowledged, within 500 ms', async () => {
    const [one, other] = await Promise.all([newProcess({ port: redis.port }), newProcess({ port: redis.port })]);
    const { token, sid } = await newToken();
    expect(await other.verifier.verify(token)).toMatchObject({ outcome: 'valid' });
    const startedMs = performance.now();
    await one.revocations.revoke([sid], TTL_MS);
    expect(performance.now() - startedMs).toBeLessThan(500);
    expect(await other.verifier.verify(token)).toEqual({ outcome: 'refused', reason: 'revoked' });
  });

  it('resolves only when a process that cannot hear it has stopped to trust its cache', async () => {
    const [one, other] = await Promise.all([newProcess({ port: redis.port }), newProcess({ port: proxy.port })]);
    const { token, sid } = await newToken();
    expect(await other.verifier.verify(token)).toMatchObject({ outcome: 'valid' });
    proxy.holdReplies();
    other.stored.revoked.add(sid);
    const startedMs = performance.now();
    await one.revocations.revoke([sid], TTL_MS);
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(EFFECTIVE_AFTER_MS - 5);
    expect(await other.verifier.verify(token)).toEqual({ outcome: 'refused', reason: 'revoked' });
  });
});
