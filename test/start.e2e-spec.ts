import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../tools/stack/free-port.js';
import { waitUntil } from '../tools/stack/wait-until.js';

let dir: string;
let launcher: Launcher | undefined;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'octo-start-'));
});
afterEach(async () => {
  await launcher?.end();
  rmSync(dir, { recursive: true, force: true });
});

/** A launcher process, as `npm start` runs it, on free ports and with a data folder of its own. */
class Launcher {
  output = '';
  readonly exited: Promise<unknown[]>;

  private constructor(readonly child: ChildProcess) {
    this.exited = once(child, 'exit');
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (this.output += String(chunk)));
  }

  static async run(env: NodeJS.ProcessEnv = {}, args: string[] = []): Promise<Launcher> {
    const [GATEWAY_PORT, AUTH_PORT, FREE_PROVIDER_PORT, PAID_PROVIDER_PORT] = await Promise.all(
      Array.from({ length: 4 }, async () => String(await freePort())),
    );
    const ports = { GATEWAY_PORT, AUTH_PORT, FREE_PROVIDER_PORT, PAID_PROVIDER_PORT };
    return new Launcher(
      spawn(process.execPath, ['dist/bin/start.js', ...args], {
        env: { PATH: process.env['PATH'], ...ports, DATA_DIR: dir, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
  }

  get pids(): number[] {
    return [...this.output.matchAll(/^ {2}\S+ +pid (\d+)/gm)].map((match) => Number(match[1]));
  }

  ready(): Promise<void> {
    const isReady = (): boolean => {
      if (this.child.exitCode !== null) throw new Error(`the launcher ended:\n${this.output}`);
      return this.output.includes('Octo is ready');
    };
    return waitUntil(isReady, { what: 'the ready line' });
  }

  async end(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGTERM');
    await this.exited;
  }
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

describe('npm start', () => {
  it('lists the bad settings of all apps and exits 1 before it starts a process', async () => {
    launcher = await Launcher.run({ FREE_LIMIT: 'ten', LOGIN_ATTEMPTS: '0', QUOTA_WHEN_FORGOTTEN: 'maybe' });
    expect(await launcher.exited).toEqual([1, null]);
    for (const name of ['FREE_LIMIT', 'LOGIN_ATTEMPTS', 'QUOTA_WHEN_FORGOTTEN'])
      expect(launcher.output).toContain(name);
    expect(launcher.output.match(/FREE_LIMIT/g)).toHaveLength(1);
    expect(launcher.output).not.toContain('listening');
  });

  it('names a port that is in use and the setting that changes it', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    launcher = await Launcher.run({ AUTH_PORT: String(port) });
    expect(await launcher.exited).toEqual([1, null]);
    expect(launcher.output).toMatch(new RegExp(`port ${port} is in use.*AUTH_PORT`));
    server.close();
  });

  it('says how to write an option that npm took for itself', async () => {
    launcher = await Launcher.run({ npm_config_pods: '3' });
    expect(await launcher.exited).toEqual([1, null]);
    expect(launcher.output).toContain('npm start -- --pods N');
  });

  it('announces the providers of the file in force, and no demo accounts when there are none', async () => {
    const PROVIDERS_FILE = join(dir, 'own.yaml');
    writeFileSync(
      PROVIDERS_FILE,
      'currency: EUR\nproviders: [{ name: mine, priceMicros: 1500, url: "${PAID_PROVIDER_URL}" }]\n',
    );
    launcher = await Launcher.run({ PROVIDERS_FILE, SEED_DEMO_ACCOUNTS: 'false' });
    await launcher.ready();
    expect(launcher.output).toMatch(/^ {2}providers {2}mine {3}0\.0015 EUR +no quota$/m);
    expect(launcher.output).toContain('no demo accounts');
    expect(launcher.output).toMatch(/^ {2}console +http:\/\/localhost:\d+\/console$/m);
    expect(launcher.output).not.toMatch(/octo\.local|octo-demo-password|then blocked/);
  });

  it('shows the log of an app that does not start', async () => {
    const keyFile = join(dir, 'broken.pem');
    writeFileSync(keyFile, 'no key');
    launcher = await Launcher.run({ JWT_PRIVATE_KEY_FILE: keyFile });
    expect(await launcher.exited).toEqual([1, null]);
    expect(launcher.output).toMatch(/Octo cannot start: auth ended with code 1/);
    expect(launcher.output).toContain('JWT_PRIVATE_KEY_FILE');
  });

  it('leaves its data folder to no other stack, stops all its processes on SIGTERM, and starts again on the same data', async () => {
    launcher = await Launcher.run();
    await waitUntil(() => launcher?.output.includes('listening') ?? false, { what: 'the first stack is starting' });
    const second = await Launcher.run();
    expect(await second.exited).toEqual([1, null]);
    expect(second.output).toContain('is in use by process');
    await launcher.ready();
    const { pids } = launcher;
    expect(pids).toHaveLength(6);
    await launcher.end();
    expect(launcher.child.exitCode).toBe(0);
    expect(pids.filter(isAlive)).toEqual([]);
    launcher = await Launcher.run();
    await launcher.ready();
    await expectNothingLeftAfterKill(launcher);
  });
});

async function expectNothingLeftAfterKill({ child, pids }: Launcher): Promise<void> {
  child.kill('SIGKILL');
  await waitUntil(() => !pids.some(isAlive), { what: 'all processes have ended' });
}
