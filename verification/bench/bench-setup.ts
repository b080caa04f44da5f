import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AccessTokenSigner, jwkSetOf, publicKeysOf, TOKEN_COOKIE } from '#access-token';
import { accounts, migrate, openDatabase } from '#database';
import { createDatabase } from '../engines/postgres-server.js';
import { type Server, Testbed } from '../testbed/testbed.js';
import { listen } from './listen.js';
import { LoadGenerator, type Target } from './load.js';
import type { ProviderEntry } from './provider-entries.js';

const NAME = 'octo-bench';
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

export const PUBLIC_KEY_PEM = publicKey.export({ type: 'spki', format: 'pem' }).toString();
export const TEXT = 'Please tell me in one sentence what an octopus is.';
export const JSON_HEADERS = { 'content-type': 'application/json' };
export const MESSAGE_BODY = JSON.stringify({ message: TEXT });

/** A testbed with durable engines, a provider that costs little, a stand-in for auth, and a load generator. */
export class BenchSetup {
  private gateways = 0;

  private constructor(
    readonly testbed: Testbed,
    readonly load: LoadGenerator,
    /** Origin of the provider. */
    readonly provider: string,
    private readonly authUrl: string,
    private readonly cookie: string,
  ) {}

  static async start(): Promise<BenchSetup> {
    const testbed = await Testbed.start({ redisArgs: ['--appendonly', 'yes'], isDurable: true });
    const load = await LoadGenerator.start();
    testbed.atStop(() => load.stop());
    const keys = JSON.stringify(jwkSetOf(publicKeysOf([publicKey])));
    const auth = createServer((_request, response) => void response.end(keys)).unref();
    const provider = await testbed.startServer('provider', join(import.meta.dirname, 'bench-provider.js'));
    return new BenchSetup(testbed, load, provider.origin, await listen(auth), await signedCookie());
  }

  /** The real gateway, with a database of its own. */
  async startGateway(providers: readonly ProviderEntry[]): Promise<Server> {
    const { testbed, authUrl } = this;
    this.gateways += 1;
    const name = `gateway-${this.gateways}`;
    const databaseUrl = await createDatabase(testbed.postgres.url);
    await addPayer(databaseUrl);
    const providersFile = join(testbed.dir, `${name}.yaml`);
    // JSON is YAML.
    writeFileSync(providersFile, JSON.stringify({ currency: 'USD', providers }));
    return testbed.startServer(name, join(import.meta.dirname, '../../bin/gateway.js'), {
      NODE_ENV: 'production',
      PORT: '0',
      HOST: '127.0.0.1',
      REDIS_URL: testbed.redis.url,
      DATABASE_URL: databaseUrl,
      PROVIDERS_FILE: providersFile,
      QUOTA_WHEN_FORGOTTEN: 'fresh',
      MESSAGES_PER_SECOND: '1000000',
      WAITING_MESSAGES_MAX: '1000000',
      WAITING_BYTES_MAX: '1000000000',
      AUTH_URL: authUrl,
      JWT_ISSUER: NAME,
      JWT_AUDIENCE: NAME,
    });
  }

  /** A message to this gateway, from an account that may use paid providers. */
  messageTo({ origin }: Server): Target {
    const headers = { ...JSON_HEADERS, cookie: this.cookie };
    return { origin, path: '/messages', headers, body: MESSAGE_BODY, status: 200 };
  }

  stop(): Promise<void> {
    return this.testbed.stop();
  }
}

const PAYER = randomUUID();

/** The gateway reads the rights of an account before it pays for a message. */
async function addPayer(databaseUrl: string): Promise<void> {
  const db = openDatabase(databaseUrl, { connections: 1 });
  await migrate(db);
  await db.insert(accounts).values({ id: PAYER, email: 'payer@octo.local', passwordHash: '', paidAccess: true });
  await db.$client.end();
}

/** The token expires after 15 minutes. */
async function signedCookie(): Promise<string> {
  const signer = new AccessTokenSigner({ privateKey, issuer: NAME, audience: NAME });
  const claims = { sub: PAYER, sid: randomUUID(), paidAccess: true, role: 'user' } as const;
  return `${TOKEN_COOKIE}=${(await signer.sign(claims)).token}`;
}
