import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { freePort } from '../../tools/stack/free-port.js';
import { waitUntil } from '../../tools/stack/wait-until.js';

/** A server of this machine's own packages, started for tests, in a temporary folder, on a free port. */
export interface NativeEngine {
  url: string;
  pid: number;
  stop: () => Promise<void>;
}

export async function startNativeRedis(options: { port?: number; args?: string[] } = {}): Promise<NativeEngine> {
  const port = options.port ?? (await freePort());
  const dir = mkdtempSync(join(tmpdir(), 'octo-redis-'));
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', '', ...(options.args ?? [])];
  const child = spawn('redis-server', args, { stdio: 'ignore' });
  await untilListening(port, child);
  return {
    url: `redis://127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    stop: async () => {
      await end(child, 'SIGTERM');
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** `url` is that of the superuser's database; `createDatabase` makes an empty one and tells its URL. */
export async function startNativePostgres(options: { isDurable?: boolean } = {}): Promise<NativeEngine> {
  const port = await freePort();
  const dir = mkdtempSync(join(tmpdir(), 'octo-postgres-'));
  const { url, child } = await runPostgres({ dir, port, ...options });
  return {
    url,
    pid: child.pid ?? 0,
    stop: async () => {
      await end(child, 'SIGINT');
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/**
 * Resolves when it answers. A folder that holds a database is gone on with, also after a crash.
 * @param isDurable whether what was written survives the end of the machine as well, not only that of the server
 */
export async function runPostgres({
  dir,
  port,
  isDurable = false,
}: {
  dir: string;
  port: number;
  isDurable?: boolean;
}): Promise<{ url: string; child: ChildProcess }> {
  const owner = unprivilegedUser();
  if (owner !== undefined) chownSync(dir, owner.uid, owner.gid);
  const as = owner === undefined ? {} : { uid: owner.uid, gid: owner.gid };
  const data = join(dir, 'data');
  if (!existsSync(data)) {
    const init = spawnSync(binary('initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '--no-sync'], { ...as });
    if (init.status !== 0) throw new Error(`initdb failed: ${String(init.stderr)}`);
  }
  const values = ['listen_addresses=127.0.0.1', `unix_socket_directories=${dir}`, `fsync=${isDurable ? 'on' : 'off'}`];
  const settings = values.flatMap((value) => ['-c', value]);
  const child = spawn(binary('postgres'), ['-D', data, '-p', String(port), ...settings], { stdio: 'ignore', ...as });
  await untilListening(port, child);
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  await waitUntil(() => answers(url), { what: 'Postgres answers' });
  return { url, child };
}

/** Whether this machine has Postgres. */
export function hasNativePostgres(): boolean {
  return [binary('initdb'), binary('postgres')].every((name) => spawnSync(name, ['--version']).status === 0);
}

export async function createDatabase(adminUrl: string): Promise<string> {
  const name = `octo_${randomBytes(6).toString('hex')}`;
  const client = new pg.Client(adminUrl);
  await client.connect();
  await client.query(`CREATE DATABASE ${name}`);
  await client.end();
  return adminUrl.replace(/\/postgres$/, `/${name}`);
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client(url);
  try {
    await client.connect();
    await client.query('SELECT 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Postgres refuses to run as root. */
function unprivilegedUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    const [uid, gid] = ['-u', '-g'].map((flag) => Number(spawnSync('id', [flag, name], { encoding: 'utf8' }).stdout));
    if (uid && gid) return { uid, gid };
  }
  throw new Error('Postgres does not run as root, and there is no user "postgres" or "nobody"');
}

function binary(name: string): string {
  const versions = ['18', '17', '16', '15'].map((version) => `/usr/lib/postgresql/${version}/bin/${name}`);
  return versions.find((path) => existsSync(path)) ?? name;
}

export async function untilListening(port: number, child: ChildProcess): Promise<void> {
  await waitUntil(
    () => {
      if (child.exitCode !== null) throw new Error(`the server ended with code ${child.exitCode}`);
      return accepts(port);
    },
    { what: `port ${port} accepts connections` },
  );
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill(signal);
    child.kill('SIGCONT');
  });
}
