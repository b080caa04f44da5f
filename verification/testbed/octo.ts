import { join } from 'node:path';
import { type Faults, faultsSchema, type ProviderStats, providerStatsSchema } from '#contracts';
import { KEEP_EVERY_WRITE } from '../engines/redis-server.js';
import { logIn } from '../../tools/stack/log-in.js';
import { type Stack, startStack } from '../../tools/stack/stack.js';
import { Testbed } from './testbed.js';

export interface OctoOptions {
  pods: number;
  limit: number;
  blockMs: number;
  env?: NodeJS.ProcessEnv;
}

/** The whole product on a testbed: gateways, auth and both reference providers, each a process of its own. */
export class Octo {
  private constructor(
    readonly testbed: Testbed,
    readonly stack: Stack,
  ) {}

  /** The free provider blocks for `blockMs` after `limit` messages. `env` replaces settings. */
  static async start({ pods, limit, blockMs, env = {} }: OctoOptions): Promise<Octo> {
    const testbed = await Testbed.start({ redisArgs: KEEP_EVERY_WRITE });
    const stack = await startStack({
      env: {
        PATH: process.env['PATH'],
        NODE_ENV: 'test',
        JWT_PRIVATE_KEY_FILE: join(testbed.dir, 'jwt.pem'),
        REDIS_URL: testbed.redis.url,
        DATABASE_URL: testbed.postgres.url,
        WAITING_MESSAGES_MAX: '1000000',
        WAITING_BYTES_MAX: '1000000000',
        FREE_POLICY: 'count-then-block',
        FREE_LIMIT: String(limit),
        FREE_BLOCK_MS: String(blockMs),
        ...env,
      },
      pods,
      ports: { auth: 0, 'free-provider': 0, 'paid-provider': 0, gateway: 0 },
      onLine: (name, line) => testbed.note(name, line),
    });
    testbed.atStop(() => stack.stop());
    return new Octo(testbed, stack);
  }

  get origins(): Stack['origins'] {
    return this.stack.origins;
  }

  /** @returns the cookies of an account that may use paid providers */
  logIn(): Promise<string> {
    return logIn(this.origins.gateways[0] ?? '');
  }

  /** The provider's own count. */
  statsOf(provider: 'free' | 'paid'): Promise<ProviderStats> {
    return statsAt(this.origins[provider]);
  }

  /** The value of one metric at each gateway; 0 while the gateway has not counted anything under this name. */
  metric(name: string): Promise<number[]> {
    const pattern = new RegExp(String.raw`^${name} (.*)$`, 'm');
    return Promise.all(
      this.origins.gateways.map(async (origin) => {
        const text = await (await fetch(`${origin}/metrics`)).text();
        return Number(pattern.exec(text)?.[1] ?? 0);
      }),
    );
  }

  stop(): Promise<void> {
    return this.testbed.stop();
  }
}

export async function statsAt(provider: string): Promise<ProviderStats> {
  return providerStatsSchema.parse(await (await fetch(`${provider}/stats`)).json());
}

/** Sets the faults of a reference provider. Faults not given are off. */
export async function setFaults(provider: string, faults: Partial<Faults>): Promise<void> {
  const body = JSON.stringify(faultsSchema.parse(faults));
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(new URL('/faults', provider), { method: 'PUT', headers, body });
  if (!answer.ok) throw new Error(`the provider refused its faults with status ${answer.status}`);
}
