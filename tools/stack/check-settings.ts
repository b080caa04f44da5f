import { z } from 'zod';
import { httpUrl, postgresUrl, readSettings, redisUrl, SettingsError, wholeNumber } from '#service';
import { authSettings } from '../../apps/auth/src/auth.settings.js';
import {
  type FreeProviderSettings,
  freeProviderSettings,
} from '../../apps/free-provider/src/free-provider.settings.js';
import { gatewaySettings } from '../../apps/gateway/src/gateway.settings.js';
import { type Provider, readProvidersFile } from '../../apps/gateway/src/providers/providers-file.js';
import { paidProviderSettings } from '../../apps/paid-provider/src/paid-provider.settings.js';
import { type AppName, originAt, providerUrls } from './stack.js';

/** Not 0: the launcher prints ports before it listens on them, so the system cannot choose them. */
const fixedPort = (fallback: number) => wholeNumber({ min: 1, max: 65_535 }).default(fallback);

export const launcherSettings = z.object({
  GATEWAY_PORT: fixedPort(3000),
  AUTH_PORT: fixedPort(4000),
  FREE_PROVIDER_PORT: fixedPort(4001),
  PAID_PROVIDER_PORT: fixedPort(4002),
  DATA_DIR: z.string().default('.data'),
  REDIS_URL: redisUrl().optional(),
  DATABASE_URL: postgresUrl().optional(),
  PUBLIC_ORIGIN: httpUrl().optional(),
});
export type LauncherSettings = z.infer<typeof launcherSettings>;

export interface CheckedSettings extends LauncherSettings {
  ports: Record<AppName, number>;
  /** Whether auth creates the demo accounts. */
  hasDemoAccounts: boolean;
  /** From the providers file, in the order the gateways try them. */
  providers: Provider[];
}

/** Placeholders for settings that the launcher gives to the apps itself. */
const PLACEHOLDERS = {
  REDIS_URL: 'redis://127.0.0.1',
  DATABASE_URL: 'postgres://127.0.0.1/octo',
  JWT_PRIVATE_KEY_FILE: 'jwt-key.pem',
};

/**
 * Reads the launcher's settings and checks the settings of all apps, before any process starts.
 * @throws SettingsError listing every bad setting of every app
 */
export function checkSettings(env: NodeJS.ProcessEnv): CheckedSettings {
  const problems = new Set<string>();
  const collect = <Schema extends z.ZodType>(schema: Schema, given: NodeJS.ProcessEnv): z.infer<Schema> | undefined => {
    try {
      return readSettings(schema, given);
    } catch (error) {
      if (!(error instanceof SettingsError)) throw error;
      for (const problem of error.problems) problems.add(problem);
      return undefined;
    }
  };
  const appEnv = { ...PLACEHOLDERS, ...env, PORT: undefined };
  const launcher = collect(launcherSettings, env);
  const auth = collect(authSettings, appEnv);
  const free = collect(freeProviderSettings, appEnv);
  collect(paidProviderSettings, appEnv);
  const gateway = collect(gatewaySettings, appEnv);
  if (!launcher || !auth || !free || !gateway || problems.size > 0) throw new SettingsError([...problems]);
  const ports = portsOf(launcher);
  // Read last: a bad variable would be listed again for the file that uses it.
  const urls = providerUrls(originsAt(ports), env);
  const { providers } = readProvidersFile(gateway.PROVIDERS_FILE, { ...env, ...urls });
  checkFreeQuota(providers, { path: gateway.PROVIDERS_FILE, free, port: ports['free-provider'] });
  const hasDemoAccounts = auth.SEED_DEMO_ACCOUNTS && auth.NODE_ENV !== 'production';
  return { ...launcher, ports, hasDemoAccounts, providers };
}

function portsOf(launcher: LauncherSettings): Record<AppName, number> {
  const { GATEWAY_PORT, AUTH_PORT, FREE_PROVIDER_PORT, PAID_PROVIDER_PORT } = launcher;
  return {
    gateway: GATEWAY_PORT,
    auth: AUTH_PORT,
    'free-provider': FREE_PROVIDER_PORT,
    'paid-provider': PAID_PROVIDER_PORT,
  };
}

function originsAt(ports: Record<AppName, number>): { free: string; paid: string } {
  return { free: originAt(ports['free-provider']), paid: originAt(ports['paid-provider']) };
}

/**
 * Gateways that count differently from the reference free provider run into its refusals or leave its quota unused.
 * @throws SettingsError when the file's entry for it has another policy
 */
function checkFreeQuota(
  providers: Provider[],
  { path, free, port }: { path: string; free: FreeProviderSettings; port: number },
): void {
  const hosts = new Set([`127.0.0.1:${port}`, `localhost:${port}`]);
  const entry = providers.find(({ url }) => hosts.has(new URL(url).host));
  if (entry?.quota === undefined) return;
  const { name: provider, quota } = entry;
  const pairs = [
    { name: 'FREE_POLICY', value: free.FREE_POLICY, inFile: quota.policy },
    ...('startsAt' in quota ? [{ name: 'FREE_STARTS_AT', value: free.FREE_STARTS_AT, inFile: quota.startsAt }] : []),
    ...('anchor' in quota ? [{ name: 'FREE_ANCHOR', value: free.FREE_ANCHOR, inFile: quota.anchor }] : []),
  ];
  const problems = pairs
    .filter(({ value, inFile }) => value !== inFile)
    .map(
      ({ name, value, inFile }) =>
        `${name}: is ${value}, but the quota of "${provider}" in ${path} is ${inFile}; ` +
        'set PROVIDERS_FILE to a file with a matching quota',
    );
  if (problems.length > 0) throw new SettingsError(problems);
}
