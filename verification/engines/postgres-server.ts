import { type ChildProcess, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { freePort } from '../../tools/stack/free-port.js';
import { waitUntil } from '../../tools/stack/wait-until.js';
import { hasExited, spawnServer, stopProcess } from './spawn-server.js';

export interface PostgresOptions {
  /** Whether writes survive a crash of the machine as well, not only a crash of the server. */
  isDurable?: boolean;
  /** Lines of `pg_hba.conf` that come before `trust` for everyone. */
  accessRules?: string[];
}

/** A Postgres process that can be killed, and started again on its port with what it has written. */
export class PostgresServer {
  private readonly dir = mkdtempSync(join(tmpdir(), 'octo-postgres-'));
  private readonly user = unprivilegedUser();
  private child: ChildProcess | undefined;

  private constructor(
    private readonly port: number,
    private readonly options: PostgresOptions,
  ) {}

  static async start(options: PostgresOptions = {}): Promise<PostgresServer> {
    const postgres = new PostgresServer(await freePort(), options);
    postgres.initialize();
    await postgres.start();
    return postgres;
  }

  /** The superuser's database; `createDatabase` adds others. */
  get url(): string {
    return `postgres://postgres@127.0.0.1:${this.port}/postgres`;
  }

  get pid(): number {
    return this.child?.pid ?? 0;
  }

  /** Resolves when the server answers. After a crash it recovers first. */
  async start(): Promise<void> {
    const { dir, port, options, user } = this;
    const fsync = `fsync=${options.isDurable ? 'on' : 'off'}`;
    const settings = ['listen_addresses=127.0.0.1', `unix_socket_directories=${dir}`, fsync].flatMap((value) => [
      '-c',
      value,
    ]);
    const args = ['-D', join(dir, 'data'), '-p', String(port), ...settings];
    const child = spawnServer(binary('postgres'), args, { ...user, exitSignal: 'SIGQUIT' });
    this.child = child;
    await waitUntil(() => hasExited(child) || answers(this.url), { what: `Postgres answers on port ${port}` });
    if (hasExited(child)) throw new Error(`Postgres exited with code ${child.exitCode}`);
  }

  /**
   * As a crash does: without a checkpoint, and without notice to clients. SIGKILL would leave child processes behind,
   * which hold the shared memory that the next start needs.
   */
  kill(): Promise<void> {
    return stopProcess(this.child, 'SIGQUIT');
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.dir, { recursive: true, force: true });
  }

  private initialize(): void {
    const { dir, user } = this;
    if (user !== undefined) chownSync(dir, user.uid, user.gid);
    const args = ['-D', join(dir, 'data'), '-U', 'postgres', '-A', 'trust', '--no-sync'];
    const { status, stderr } = spawnSync(binary('initdb'), args, { ...user });
    if (status !== 0) throw new Error(`initdb failed: ${String(stderr)}`);
    const rules = join(dir, 'data', 'pg_hba.conf');
    writeFileSync(rules, [...(this.options.accessRules ?? []), readFileSync(rules, 'utf8')].join('\n'));
  }
}

/** Whether this machine has Postgres. */
export function hasPostgres(): boolean {
  return [binary('initdb'), binary('postgres')].every((name) => spawnSync(name, ['--version']).status === 0);
}

/** @returns the URL of a new, empty database on the same server */
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
  throw new Error('Postgres does not run as root: create a user "postgres", or run as another user');
}

function binary(name: string): string {
  const versions = ['18', '17', '16', '15'].map((version) => `/usr/lib/postgresql/${version}/bin/${name}`);
  return versions.find((path) => existsSync(path)) ?? name;
}
