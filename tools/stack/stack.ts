import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from './free-port.js';
import { ManagedProcess } from './managed-process.js';

const TREE = fileURLToPath(new URL('../../', import.meta.url));
/** Apps run compiled, also when this file itself is run from its source by the tests. */
const DIST = basename(TREE) === 'dist' ? TREE : join(TREE, 'dist');

export type AppName = 'auth' | 'free-provider' | 'paid-provider' | 'gateway';

export interface StackOptions {
  /** Settings of all apps; `REDIS_URL` and `DATABASE_URL` win over the embedded engines. */
  env: NodeJS.ProcessEnv;
  /** How many gateways. */
  pods: number;
  /** First gateway's port and those of the others; 0 lets the system choose. */
  ports: Record<AppName, number>;
  /** Where embedded Postgres and keys are kept; undefined: only as long as the stack runs. */
  dataDir?: string | undefined;
  apps?: readonly AppName[];
  onLine: (name: string, line: string) => void;
}

export interface Stack {
  /** Base URLs, such as `http://127.0.0.1:3000`. */
  origins: { auth: string; free: string; paid: string; gateways: string[] };
  processes: ManagedProcess[];
  stop: () => Promise<void>;
}

/**
 * Starts engines and apps, each as a process of its own, and resolves when all are ready.
 * @throws the log of the one that could not start, after stopping the others
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  // Stopped last to first, one group after the other: whoever uses something ends before it does.
  const groups: ManagedProcess[][] = [];
  const stop = async (): Promise<void> => {
    for (const group of groups.toReversed()) await Promise.all(group.map((member) => member.stop()));
  };
  const startAll = async (group: ManagedProcess[]): Promise<void> => {
    groups.push(group);
    await Promise.all(group.map((member) => member.start()));
  };
  try {
    const engines = await planEngines(options);
    await startAll(engines.processes);
    const env = { ...options.env, ...engines.env };
    const planned = planApps(options, env);
    await startAll(planned);
    const origins = {
      auth: originOf(planned, 'auth'),
      free: originOf(planned, 'free-provider'),
      paid: originOf(planned, 'paid-provider'),
    };
    const gateways = planGateways(options, { ...env, ...gatewayEnv(origins, options) });
    await startAll(gateways);
    const gatewayOrigins = gateways.map((gateway) => originOf(gateways, gateway.name));
    return { origins: { ...origins, gateways: gatewayOrigins }, processes: groups.flat(), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function planEngines({ env, dataDir, onLine }: StackOptions): Promise<{
  processes: ManagedProcess[];
  env: NodeJS.ProcessEnv;
}> {
  const processes: ManagedProcess[] = [];
  const urls: NodeJS.ProcessEnv = {};
  if (env['REDIS_URL'] === undefined) {
    const PORT = String(await freePort());
    urls['REDIS_URL'] = `redis://127.0.0.1:${PORT}`;
    processes.push(engine('redis', { PORT }, onLine));
    // Embedded Redis and the reference provider both start with empty counts.
    urls['QUOTA_WHEN_FORGOTTEN'] = env['QUOTA_WHEN_FORGOTTEN'] ?? 'fresh';
  }
  if (env['DATABASE_URL'] === undefined) {
    const PORT = String(await freePort());
    urls['DATABASE_URL'] = `postgres://postgres@127.0.0.1:${PORT}/postgres`;
    processes.push(engine('postgres', { PORT, DATA_DIR: dataDir && join(dataDir, 'postgres') }, onLine));
  }
  return { processes, env: urls };
}

function engine(name: 'redis' | 'postgres', env: NodeJS.ProcessEnv, onLine: StackOptions['onLine']): ManagedProcess {
  return new ManagedProcess({ name, entry: join(DIST, `tools/stack/embedded-${name}.js`), env, onLine });
}

function planApps(options: StackOptions, env: NodeJS.ProcessEnv): ManagedProcess[] {
  const names = (['auth', 'free-provider', 'paid-provider'] as const).filter((name) => isWanted(options, name));
  return names.map((name) => appProcess(name, name, { ...env, PORT: String(options.ports[name]) }, options));
}

function planGateways(options: StackOptions, env: NodeJS.ProcessEnv): ManagedProcess[] {
  if (!isWanted(options, 'gateway')) return [];
  return Array.from({ length: options.pods }, (_, index) => {
    const first = options.ports.gateway;
    const PORT = String(first === 0 ? 0 : first + index);
    return appProcess(`gateway-${index + 1}`, 'gateway', { ...env, PORT }, options);
  });
}

function isWanted({ apps }: StackOptions, name: AppName): boolean {
  return apps?.includes(name) ?? true;
}

function appProcess(name: string, app: AppName, env: NodeJS.ProcessEnv, { onLine }: StackOptions): ManagedProcess {
  return new ManagedProcess({ name, entry: join(DIST, `apps/${app}/src/main.js`), env, onLine });
}

/** What only the launcher knows: where everything listens. */
function gatewayEnv(origins: { auth: string; free: string; paid: string }, { env }: StackOptions): NodeJS.ProcessEnv {
  return {
    AUTH_URL: origins.auth,
    FREE_PROVIDER_URL: env['FREE_PROVIDER_URL'] ?? `${origins.free}/messages`,
    PAID_PROVIDER_URL: env['PAID_PROVIDER_URL'] ?? `${origins.paid}/messages`,
  };
}

function originOf(group: ManagedProcess[], name: string): string {
  const message = group.find((member) => member.name === name)?.readyMessage;
  return typeof message === 'object' && message !== null && 'url' in message ? String(message.url) : '';
}
