import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { KeysUnavailable } from './access-token.verifier.js';
import { jwkSetOf, publicKeysOf, type PublicKeys } from './jwk.js';
import { RemoteKeys } from './remote-keys.js';

const newKeys = (): PublicKeys => publicKeysOf([generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey]);
const onlyIdOf = (keys: PublicKeys): string => [...keys.keys()].join();

/** An auth app that serves only its keys. */
class KeyServer {
  keys = newKeys();
  status = 200;
  fetches = 0;
  private readonly server = createServer((_request, response) => {
    this.fetches += 1;
    response.statusCode = this.status;
    response.end(JSON.stringify(jwkSetOf(this.keys)));
  });

  async start(): Promise<string> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/.well-known/jwks.json`;
  }

  stop(): void {
    this.server.close();
    this.server.closeAllConnections();
  }
}

describe('RemoteKeys', () => {
  let server: KeyServer;
  let url: string;

  beforeEach(async () => {
    server = new KeyServer();
    url = await server.start();
  });
  afterEach(() => server.stop());

  it('fetches once for concurrent requests, and not again for a known key', async () => {
    const remote = new RemoteKeys(url);
    const id = onlyIdOf(server.keys);
    const found = await Promise.all(Array.from({ length: 20 }, async () => remote.get(id)));
    expect(found.every((key) => key !== undefined)).toBe(true);
    expect(await remote.get(id)).toBeDefined();
    expect(server.fetches).toBe(1);
  });

  it('finds a new key, but fetches for unknown ids once per cooldown', async () => {
    const remote = new RemoteKeys(url, { cooldownMs: 0 });
    await remote.get(onlyIdOf(server.keys));
    server.keys = newKeys();
    expect(await remote.get(onlyIdOf(server.keys))).toBeDefined();
    const cooling = new RemoteKeys(url, { cooldownMs: 60_000 });
    await cooling.get('unknown');
    const { fetches } = server;
    expect(await Promise.all([cooling.get('unknown'), cooling.get('unknown 2')])).toEqual([undefined, undefined]);
    expect(server.fetches).toBe(fetches);
  });

  it('keeps the last known keys while fetches fail', async () => {
    const remote = new RemoteKeys(url, { cooldownMs: 0, refreshMs: 0 });
    const id = onlyIdOf(server.keys);
    await remote.get(id);
    server.status = 500;
    expect(await remote.get('unknown')).toBeUndefined();
    expect(await remote.get(id)).toBeDefined();
  });

  it('forgets a withdrawn key', async () => {
    const remote = new RemoteKeys(url, { cooldownMs: 0 });
    const id = onlyIdOf(server.keys);
    await remote.get(id);
    server.keys = newKeys();
    await remote.get('unknown');
    expect(await remote.get(id)).toBeUndefined();
  });

  it('throws KeysUnavailable when no keys have been fetched', async () => {
    server.status = 500;
    await expect(new RemoteKeys(url).get('any')).rejects.toBeInstanceOf(KeysUnavailable);
  });
});
