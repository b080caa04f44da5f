// `npm start [-- --pods N --fresh]`: runs engines and apps, each as a separate process, until Ctrl-C.
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { SettingsError } from '#service';
import { checkSettings, type CheckedSettings } from './stack/check-settings.js';
import { lockDataDir } from './stack/data-dir-lock.js';
import { describeProviders } from './stack/describe-providers.js';
import { recordEngineUrls } from './stack/engine-urls.js';
import { printLog } from './stack/format-log.js';
import { isFreePort } from './stack/free-port.js';
import { DEMO_PASSWORD } from './stack/log-in.js';
import { type Stack, startStack } from './stack/stack.js';
import { stopOnSignal } from './stack/stop-on-signal.js';

const USAGE = `npm start [-- options]
  --pods N   number of gateways (default 1)
  --fresh    delete the accounts, messages and keys of earlier runs first
Settings come from the environment and .env; .env.example lists them.`;

const startedAtMs = Date.now();

try {
  await main();
} catch (error) {
  const reason = error instanceof Error ? error.message : String(error);
  const problems =
    error instanceof SettingsError ? error.problems.map((problem) => `\n  ${problem}`).join('') : ` ${reason}`;
  console.error(`Octo cannot start:${problems}`);
  process.exit(1);
}

async function main(): Promise<void> {
  const { pods, fresh } = readArguments();
  if (existsSync('.env')) process.loadEnvFile('.env');
  const env = withoutEmpty(process.env);
  const settings = checkSettings(env);
  // Before the ports: a running stack holds both, and the lock's error names its process.
  const unlock = lockDataDir(settings.DATA_DIR);
  await refuseBusyPorts(settings, pods).catch(unlockAndThrow(unlock));
  if (fresh) deleteData(settings.DATA_DIR);
  const starting = startStack({
    env: {
      ...env,
      JWT_PRIVATE_KEY_FILE: env['JWT_PRIVATE_KEY_FILE'] ?? join(settings.DATA_DIR, 'jwt-key.pem'),
      PUBLIC_ORIGIN: publicOrigin(settings),
    },
    pods,
    ports: settings.ports,
    dataDir: settings.DATA_DIR,
    onLine: printLog,
  });
  stopOnSignal(starting, unlock);
  const stack = await starting.catch(unlockAndThrow(unlock));
  recordEngineUrls(settings.DATA_DIR, { DATABASE_URL: stack.databaseUrl, REDIS_URL: stack.redisUrl });
  announce(stack, settings);
}

/** An empty variable counts as not set. */
function withoutEmpty(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
}

function deleteData(dataDir: string): void {
  for (const part of ['postgres', 'jwt-key.pem']) rmSync(join(dataDir, part), { recursive: true, force: true });
}

function readArguments(): { pods: number; fresh: boolean } {
  refuseOptionsTakenByNpm();
  const { values } = parseArgs({
    options: {
      pods: { type: 'string', default: '1' },
      fresh: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    process.exit(0);
  }
  const pods = Number(values.pods);
  if (!Number.isInteger(pods) || pods < 1 || pods > 64) throw new Error('--pods must be a whole number from 1 to 64.');
  return { pods, fresh: values.fresh };
}

/** Without `--` npm takes the options as its own configuration: `npm start --pods 3` would start one gateway. */
function refuseOptionsTakenByNpm(): void {
  const taken = ['pods', 'fresh'].filter((option) => process.env[`npm_config_${option}`]);
  if (taken.length === 0) return;
  const options = taken.map((option) => (option === 'pods' ? '--pods N' : `--${option}`));
  throw new Error(`npm needs \`--\` before the options: npm start -- ${options.join(' ')}`);
}

function unlockAndThrow(unlock: () => void): (error: unknown) => never {
  return (error) => {
    unlock();
    throw error;
  };
}

function publicOrigin({ PUBLIC_ORIGIN, ports }: CheckedSettings): string {
  return PUBLIC_ORIGIN ?? `http://localhost:${ports.gateway}`;
}

async function refuseBusyPorts({ ports }: CheckedSettings, pods: number): Promise<void> {
  const wanted = [
    ...Array.from({ length: pods }, (_, index) => ({ port: ports.gateway + index, setting: 'GATEWAY_PORT' })),
    { port: ports.auth, setting: 'AUTH_PORT' },
    { port: ports['free-provider'], setting: 'FREE_PROVIDER_PORT' },
    { port: ports['paid-provider'], setting: 'PAID_PROVIDER_PORT' },
  ];
  const busy: string[] = [];
  for (const { port, setting } of wanted) {
    if (!(await isFreePort(port)))
      busy.push(`port ${port} is in use: stop the program that uses it, or set ${setting}`);
  }
  if (busy.length > 0) throw new SettingsError(busy);
}

function announce({ origins, processes }: Stack, settings: CheckedSettings): void {
  const rows = processes.map(
    ({ name, pid }) => `  ${name.padEnd(14)} pid ${String(pid).padEnd(8)} ${urlOf(name, origins)}`,
  );
  const providers = describeProviders(settings.providers);
  const seconds = ((Date.now() - startedAtMs) / 1000).toFixed(1);
  console.log(`
  console        ${publicOrigin(settings)}/console

${rows.join('\n')}

${describeAccounts(settings)}
  providers  ${providers.join('\n             ')}

Octo is ready at ${publicOrigin(settings)} after ${seconds} s. Ctrl-C stops everything.
`);
}

function describeAccounts({ hasDemoAccounts }: CheckedSettings): string {
  if (!hasDemoAccounts) {
    return '  accounts   no demo accounts; create an account with POST /auth/register';
  }
  return `  accounts   admin@octo.local   paid@octo.local (may use paid providers)   free@octo.local
  password   ${DEMO_PASSWORD}`;
}

function urlOf(name: string, { auth, free, paid, gateways }: Stack['origins']): string {
  const index = /^gateway-(\d+)$/.exec(name)?.[1];
  if (index !== undefined) return gateways[Number(index) - 1] ?? '';
  return { auth, 'free-provider': free, 'paid-provider': paid }[name] ?? 'embedded';
}
