import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../tools/stack/free-port.js';
import { waitUntil } from '../../tools/stack/wait-until.js';

/** This machine's nginx with the files of `deploy/`; only addresses and folders differ. */
export class Nginx {
  private constructor(
    private readonly dir: string,
    private readonly child: ChildProcess,
    private readonly port: number,
  ) {}

  static async start(gatewayPorts: number[]): Promise<Nginx> {
    const dir = mkdtempSync(join(tmpdir(), 'octo-nginx-'));
    const port = await freePort();
    const env = { PATH: `${dir}:${process.env['PATH']}:/usr/sbin`, POLL_SECONDS: '0.1' };
    // Stands in for Docker's name server: `deploy/run-nginx.sh` asks getent for the addresses.
    writeFileSync(join(dir, 'getent'), `#!/bin/sh\ncat ${dir}/addresses\n`);
    chmodSync(join(dir, 'getent'), 0o755);
    writeConfig(dir, port, gatewayPorts);
    const child = spawn('sh', ['deploy/run-nginx.sh', '-c', join(dir, 'nginx.conf'), '-p', dir], {
      env,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let errors = '';
    child.stderr?.on('data', (chunk) => (errors += String(chunk)));
    const nginx = new Nginx(dir, child, port);
    await waitUntil(
      () => {
        if (child.exitCode !== null) throw new Error(`nginx ended with code ${child.exitCode}: ${errors}`);
        return fetch(nginx.origin).then(
          () => true,
          () => false,
        );
      },
      { what: 'nginx answers' },
    );
    return nginx;
  }

  get origin(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** As Docker does when containers are recreated: other addresses, no signal to nginx. */
  moveGateways(ports: number[]): void {
    writeConfig(this.dir, this.port, ports);
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null) {
      this.child.kill('SIGTERM');
      await once(this.child, 'exit');
    }
    rmSync(this.dir, { recursive: true, force: true });
  }
}

function writeConfig(dir: string, port: number, gatewayPorts: number[]): void {
  const config = readFileSync('deploy/nginx.conf', 'utf8')
    .replaceAll('/tmp/', `${dir}/`)
    .replace('listen 3000', `listen 127.0.0.1:${port}`)
    .replace(/server gateway:3000(.*);/, (_, options: string) =>
      gatewayPorts.map((gateway) => `server 127.0.0.1:${gateway}${options};`).join('\n'),
    );
  writeFileSync(join(dir, 'nginx.conf'), config);
  writeFileSync(join(dir, 'addresses'), gatewayPorts.map((gateway) => `127.0.0.1:${gateway} STREAM\n`).join(''));
}
