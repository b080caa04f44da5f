import { z } from 'zod';
import { httpUrl, postgresUrl, readSettings, redisUrl, SettingsError, wholeNumber } from '#service';
import { authSettings } from '../../apps/auth/src/auth.settings.js';
import {
  type FreeProviderSettings,
  freeProviderSettings,
} from '../../apps/free-provider/src/free-provider.settings.js';
import { gatewaySettings } from '../../apps/gateway/src/gateway.settings.js';
import { readProvidersFile } from '../../apps/gateway/src/providers/providers-file.js';
import { paidProviderSettings } from '../../apps/paid-provider/src/paid-provider.settings.js';
import type { AppName } from './stack.js';

/** Printed before it is used: the system cannot choose it. */
const fixedPort = (fallback: number) => wholeNumber({ min: 1, max: 65_535 }).default(fallback);

export const stackSettings = z.object({
  GATEWAY_PORT: fixedPort(3000),
  AUTH_PORT: fixedPort(4000),
  FREE_PROVIDER_PORT: fixedPort(4001),
  PAID_PROVIDER_PORT: fixedPort(4002),
  DATA_DIR: z.string().default('.data'),
  REDIS_URL: redisUrl().optional(),
  DATABASE_URL: postgresUrl().optional(),
  PUBLIC_ORIGIN: httpUrl().optional(),
});
export type StackSettings = z.infer<typeof stackSettings> & {
  ports: Record<AppName, number>;
  free: FreeProviderSettings;
};

/** Stand-ins for what the launcher itself provides. */
const PROVIDED = { REDIS_URL: 'redis://127.0.0.1', DATABASE_URL: 'postgres://127.0.0.1/octo' };

/**
 * Reads the launcher's settings and checks those of all apps, before anything is started.
 * @throws SettingsError naming every bad setting of every app at once
 */
export function checkSettings(env: NodeJS.ProcessEnv): StackSettings {
  const problems = new Set<string>();
  const collect = <Value>(read: () => Value): Value | undefined => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof SettingsError)) throw error;
      for (const problem of error.problems) problems.add(problem);
      return undefined;
    }
  };
  const provided = { ...PROVIDED, JWT_PRIVATE_KEY_FILE: 'jwt-key.pem', ...env, PORT: undefined };
  const settings = collect(() => readSettings(stackSettings, env));
  collect(() => readSettings(authSettings, provided));
  const free = collect(() => readSettings(freeProviderSettings, provided));
  collect(() => readSettings(paidProviderSettings, provided));
  const gateway = collect(() => readSettings(gatewaySettings, provided));
  if (settings === undefined || free === undefined || gateway === undefined || problems.size > 0) {
    throw new SettingsError([...problems]);
  }
  // Only now: a variable that is bad would be told a second time by the file that uses it.
  checkProvidersFile(gateway.PROVIDERS_FILE, { env, free, port: settings.FREE_PROVIDER_PORT });
  const { GATEWAY_PORT, AUTH_PORT, FREE_PROVIDER_PORT, PAID_PROVIDER_PORT } = settings;
  return {
    ...settings,
    free,
    ports: {
      gateway: GATEWAY_PORT,
      auth: AUTH_PORT,
      'free-provider': FREE_PROVIDER_PORT,
      'paid-provider': PAID_PROVIDER_PORT,
    },
  };
}

/** Gateways that count otherwise than the free provider would run into its refusals, or leave its quota unused. */
function checkProvidersFile(
  path: string,
  { env, free, port }: { env: NodeJS.ProcessEnv; free: FreeProviderSettings; port: number },
): void {
  const { providers } = readProvidersFile(path, { FREE_PROVIDER_URL: `http://127.0.0.1:${port}/messages`, ...env });
  const own = new Set([`127.0.0.1:${port}`, `localhost:${port}`]);
  const counted = providers.find(({ url }) => own.has(new URL(url).host));
  if (counted?.quota === undefined) return;
  const { quota } = counted;
  const pairs = [
    { name: 'FREE_POLICY', value: free.FREE_POLICY, countedBy: quota.policy },
    ...('startsAt' in quota ? [{ name: 'FREE_STARTS_AT', value: free.FREE_STARTS_AT, countedBy: quota.startsAt }] : []),
    ...('anchor' in quota ? [{ name: 'FREE_ANCHOR', value: free.FREE_ANCHOR, countedBy: quota.anchor }] : []),
  ];
  const problems = pairs
    .filter(({ value, countedBy }) => value !== countedBy)
    .map(
      ({ name, value, countedBy }) =>
        `${name}: is ${value}, but ${path} counts ${counted.name} by ${countedBy}: ` +
        'write a providers file whose quota matches and set PROVIDERS_FILE to it',
    );
  if (problems.length > 0) throw new SettingsError(problems);
}
