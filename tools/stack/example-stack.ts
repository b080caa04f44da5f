import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { freePort } from './free-port.js';
import { ManagedProcess } from './managed-process.js';
import { DIST, originAt, planEngines, startAll, stopAll } from './stack.js';

/**
 * `examples/NAME/example.json`: the processes of an example, by the names of their folders in `src`. Every process gets the
 * URL of each process that has a port, as `<PROCESS>_URL`.
 */
const processesSchema = z.record(
  z.string().regex(/^[a-z]+$/),
  z.strictObject({
    /** Without one the system chooses it: for processes that no other process calls. */
    port: z.int().optional(),
    count: z.int().min(1).default(1),
  }),
);

export interface ExampleOptions {
  name: string;
  /** Settings of all processes. `REDIS_URL` and `DATABASE_URL` replace the embedded engines, `<PROCESS>_PORT` a port. */
  env: NodeJS.ProcessEnv;
  /** `fixed`: as example.json and the environment say. */
  ports: 'fixed' | 'free';
  /** How many processes of a name to start, instead of the number in example.json. */
  counts?: Record<string, number>;
  /** Folder of the embedded Postgres; without it Postgres keeps its data in memory. */
  dataDir?: string | undefined;
  onLine: (name: string, line: string) => void;
}

/** An example with its engines, each a process. */
export interface ExampleStack {
  /** By process; only those that have a port. */
  urls: Record<string, string>;
  processes: ManagedProcess[];
  databaseUrl: string;
  redisUrl: string;
  /** Resolves when all processes are ready. @throws with the log of a process that did not start, after stopping all */
  start: () => Promise<void>;
  stop: () => Promise<void>;
}

/** Decides ports and settings, and starts nothing yet: the URLs can be shown first. */
export async function planExample(options: ExampleOptions): Promise<ExampleStack> {
  const wanted = Object.entries(processesSchema.parse(readJson(options.name)));
  const ports: Record<string, number> = {};
  for (const [name, { port }] of wanted) {
    if (port === undefined) continue;
    ports[name] = options.ports === 'free' ? await freePort() : Number(options.env[`${upper(name)}_PORT`] ?? port);
  }
  const urls = Object.fromEntries(Object.entries(ports).map(([name, port]) => [name, originAt(port)]));
  const engines = await planEngines(options);
  const addresses = Object.fromEntries(Object.entries(urls).map(([name, url]) => [`${upper(name)}_URL`, url]));
  const env: NodeJS.ProcessEnv = { ...options.env, ...engines.env, ...addresses };
  const apps = wanted.flatMap(([name, { count }]) =>
    Array.from({ length: options.counts?.[name] ?? count }, (_, index) => {
      const own = { ...env, PORT: String(ports[name] ?? 0) };
      const title = count === 1 ? name : `${name}-${index + 1}`;
      const entry = join(DIST, `bin/${options.name}-${name}.js`);
      return new ManagedProcess({ name: title, entry, env: own, onLine: options.onLine });
    }),
  );
  const stop = async (): Promise<void> => {
    await stopAll(apps);
    await stopAll(engines.processes);
  };
  const start = async (): Promise<void> => {
    try {
      await startAll(engines.processes);
      await startAll(apps);
    } catch (error) {
      await stop();
      throw error;
    }
  };
  const databaseUrl = env['DATABASE_URL'] ?? '';
  return {
    urls,
    processes: [...engines.processes, ...apps],
    databaseUrl,
    redisUrl: env['REDIS_URL'] ?? '',
    start,
    stop,
  };
}

function readJson(name: string): unknown {
  const file = join('examples', name, 'example.json');
  return JSON.parse(readFileSync(file, 'utf8')) as unknown;
}

function upper(name: string): string {
  return name.toUpperCase();
}
