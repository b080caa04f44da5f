import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from './free-port.js';
import { ManagedProcess } from './managed-process.js';

const TREE = fileURLToPath(new URL('../../', import.meta.url));
/** Apps always run compiled, even when a test runs this file from its source. */
export const DIST = basename(TREE) === 'dist' ? TREE : join(TREE, 'dist');

export type AppName = 'auth' | 'free-provider' | 'paid-provider' | 'gateway';

export interface StackOptions {
  /** Settings of all apps. `REDIS_URL` and `DATABASE_URL` replace the embedded engines. */
  env: NodeJS.ProcessEnv;
  /** Number of gateways. */
  pods: number;
  /** Port of the first gateway and of each other app; 0 takes a free port. */
  ports: Record<AppName, number>;
  /** Folder of the embedded Postgres; without it Postgres keeps its data in memory. */
  dataDir?: string | undefined;
  apps?: readonly AppName[];
  onLine: (name: string, line: string) => void;
}

/** A running system: engines and apps, each a process. */
export interface Stack {
  /** Base URLs, such as `http://127.0.0.1:3000`. */
  origins: { auth: string; free: string; paid: string; gateways: string[] };
  processes: ManagedProcess[];
  /** URLs of the engines in use, given or embedded. */
  databaseUrl: string;
  redisUrl: string;
  stop: () => Promise<void>;
}

/**
 * Starts engines and apps, each as a separate process, and resolves when all are ready.
 * @throws with the log of a process that did not start, after stopping the others
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const ports = await choosePorts(options);
  const origins = {
    auth: originAt(ports.auth),
    free: originAt(ports['free-provider']),
    paid: originAt(ports['paid-provider']),
    gateways: ports.gateways.map(originAt),
  };
  const engines = await planEngines(options);
  const addresses = { AUTH_URL: origins.auth, ...providerUrls(origins, options.env) };
  const env: NodeJS.ProcessEnv = { ...options.env, ...engines.env, ...addresses };
  const planned = planApps(options, ports, env);
  const processes = [...engines.processes, ...planned.providers, ...planned.auth, ...planned.gateways];
  const stop = async (): Promise<void> => {
    // Each process stops before the ones it uses.
    await stopAll(planned.gateways);
    await stopAll([...planned.auth, ...planned.providers]);
    await stopAll(engines.processes);
  };
  try {
    // Reference providers use no engine, and a gateway does not need auth in order to start.
    await startAll([...engines.processes, ...planned.providers]);
    await startAll([...planned.auth, ...planned.gateways]);
    const urls = { databaseUrl: env['DATABASE_URL'] ?? '', redisUrl: env['REDIS_URL'] ?? '' };
    return { origins, processes, ...urls, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

export async function startAll(group: ManagedProcess[]): Promise<void> {
  await Promise.all(group.map((member) => member.start()));
}

export async function stopAll(group: ManagedProcess[]): Promise<void> {
  await Promise.all(group.map((member) => member.stop()));
}

type Ports = Record<Exclude<AppName, 'gateway'>, number> & { gateways: number[] };

async function choosePorts({ ports, pods }: StackOptions): Promise<Ports> {
  const chosen = (port: number): Promise<number> => (port === 0 ? freePort() : Promise.resolve(port));
  const gateways = Array.from({ length: pods }, (_, index) => chosen(ports.gateway === 0 ? 0 : ports.gateway + index));
  return {
    auth: await chosen(ports.auth),
    'free-provider': await chosen(ports['free-provider']),
    'paid-provider': await chosen(ports['paid-provider']),
    gateways: await Promise.all(gateways),
  };
}

export function originAt(port: number): string {
  return `http://127.0.0.1:${port}`;
}

/** Redis and Postgres for processes with this environment: embedded ones, unless it names others. */
export async function planEngines({ env, dataDir, onLine }: Pick<StackOptions, 'env' | 'dataDir' | 'onLine'>): Promise<{
  processes: ManagedProcess[];
  env: NodeJS.ProcessEnv;
}> {
  const processes: ManagedProcess[] = [];
  const urls: NodeJS.ProcessEnv = {};
  if (env['REDIS_URL'] === undefined) {
    const PORT = String(await freePort());
    urls['REDIS_URL'] = `redis://127.0.0.1:${PORT}`;
    processes.push(engine('redis', { PORT }, onLine));
    // Embedded Redis and the reference provider both start with empty counts. Providers of a file go on counting.
    const whenForgotten = env['PROVIDERS_FILE'] === undefined ? 'fresh' : 'blocked';
    urls['QUOTA_WHEN_FORGOTTEN'] = env['QUOTA_WHEN_FORGOTTEN'] ?? whenForgotten;
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

function planApps(
  options: StackOptions,
  ports: Ports,
  env: NodeJS.ProcessEnv,
): { auth: ManagedProcess[]; providers: ManagedProcess[]; gateways: ManagedProcess[] } {
  const wanted = options.apps ?? ['auth', 'free-provider', 'paid-provider', 'gateway'];
  const gatewayUrl = env['GATEWAY_DATABASE_URL'];
  const plan = (app: AppName, name: string, port: number): ManagedProcess[] => {
    const own = { PORT: String(port), ...(app === 'gateway' && gatewayUrl && { DATABASE_URL: gatewayUrl }) };
    return wanted.includes(app) ? [appProcess(name, app, { ...env, ...own }, options)] : [];
  };
  return {
    auth: plan('auth', 'auth', ports.auth),
    providers: (['free-provider', 'paid-provider'] as const).flatMap((name) => plan(name, name, ports[name])),
    gateways: ports.gateways.flatMap((port, index) => plan('gateway', `gateway-${index + 1}`, port)),
  };
}

function appProcess(name: string, app: AppName, env: NodeJS.ProcessEnv, { onLine }: StackOptions): ManagedProcess {
  return new ManagedProcess({ name, entry: join(DIST, `bin/${app}.js`), env, onLine });
}

/** Variables for any providers file; by default the reference providers of this stack. */
export function providerUrls(
  { free, paid }: { free: string; paid: string },
  env: NodeJS.ProcessEnv,
): Record<'FREE_PROVIDER_URL' | 'PAID_PROVIDER_URL', string> {
  return {
    FREE_PROVIDER_URL: env['FREE_PROVIDER_URL'] ?? `${free}/messages`,
    PAID_PROVIDER_URL: env['PAID_PROVIDER_URL'] ?? `${paid}/messages`,
  };
}
