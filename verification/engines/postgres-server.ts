import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../tools/stack/free-port.js';
import { ManagedProcess } from '../../tools/stack/managed-process.js';

/** A Postgres of a proof's own, which can crash and come back on the same port with what it had written. */
export class PostgresServer {
  private readonly dir = mkdtempSync(join(tmpdir(), 'octo-prove-'));
  private server: ManagedProcess | undefined;

  private constructor(private readonly port: number) {}

  static async start(): Promise<PostgresServer> {
    const postgres = new PostgresServer(await freePort());
    await postgres.startAgain();
    return postgres;
  }

  get url(): string {
    return `postgres://postgres@127.0.0.1:${this.port}/postgres`;
  }

  async startAgain(): Promise<void> {
    const entry = join(import.meta.dirname, 'native-postgres.js');
    const env = { PATH: process.env['PATH'], PORT: String(this.port), DATA_DIR: this.dir };
    this.server = new ManagedProcess({ name: 'postgres', entry, env, onLine: () => {} });
    await this.server.start();
  }

  async crash(): Promise<void> {
    await this.server?.stop();
  }

  async stop(): Promise<void> {
    await this.server?.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }
}
