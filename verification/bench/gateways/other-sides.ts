import { type ChildProcess, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { hasExited, spawnServer, stopProcess } from '../../engines/spawn-server.js';
import { freePort } from '../../../tools/stack/free-port.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { type BenchSetup, JSON_HEADERS, MESSAGE_BODY, PUBLIC_KEY_PEM, TEXT } from '../bench-setup.js';
import type { Target } from '../load.js';
import { childrenOf } from '../process-use.js';
import type { Side } from './rounds.js';

const PAID_PATH = '/paid/messages';

export const BARE = 'bare Node proxy';
export const PORTKEY = 'Portkey gateway';
export const USUAL = 'Nest, Express, stock axios, jsonwebtoken';

/** The provider, or a proxy in front of it that forwards the path. */
export function targetAt(origin: string): Target {
  return { origin, path: PAID_PATH, headers: JSON_HEADERS, body: MESSAGE_BODY, status: 200 };
}

export async function bareProxy({ testbed, provider }: BenchSetup): Promise<Side> {
  const entry = join(import.meta.dirname, 'bare-proxy.js');
  const { origin, pid } = await testbed.startServer('bare proxy', entry, { UPSTREAM: provider });
  return { name: BARE, target: targetAt(origin), pids: [pid] };
}

export async function usualGateway(setup: BenchSetup, peersDir: string): Promise<Side> {
  const gateway = await setup.testbed.startServer('usual gateway', join(peersDir, 'dist/usual-gateway.js'), {
    NODE_ENV: 'production',
    UPSTREAM: setup.provider + PAID_PATH,
    PUBLIC_KEY: PUBLIC_KEY_PEM,
  });
  return { name: USUAL, target: setup.messageTo(gateway), pids: [gateway.pid] };
}

/** Speaks only the protocol of language models. It checks no key and records nothing. */
export async function portkey(setup: BenchSetup, peersDir: string): Promise<Side> {
  const port = await freePort();
  const entry = join(peersDir, 'node_modules/@portkey-ai/gateway/build/start-server.js');
  const env = { PATH: process.env['PATH'], NODE_ENV: 'production' };
  const child = spawnServer(process.execPath, [entry, `--port=${port}`, '--headless'], { env });
  await untilListening(setup, port, child);
  return {
    name: PORTKEY,
    target: {
      origin: `http://127.0.0.1:${port}`,
      path: '/v1/chat/completions',
      headers: {
        ...JSON_HEADERS,
        authorization: 'Bearer bench',
        'x-portkey-provider': 'openai',
        'x-portkey-custom-host': `${setup.provider}/v1`,
      },
      body: JSON.stringify({ model: 'bench', messages: [{ role: 'user', content: TEXT }] }),
      status: 200,
    },
    pids: [child.pid ?? 0],
  };
}

export function hasNginx(): boolean {
  return spawnSync('nginx', ['-v']).status === 0;
}

/** With one worker: the other sides have one thread as well. */
export async function nginx(setup: BenchSetup): Promise<Side> {
  const dir = join(setup.testbed.dir, 'nginx');
  mkdirSync(dir);
  const port = await freePort();
  const config = join(dir, 'nginx.conf');
  writeFileSync(config, nginxConfig({ dir, port, upstream: new URL(setup.provider).host }));
  // SIGTERM: the master must end its worker.
  const options = { exitSignal: 'SIGTERM' } as const;
  const child = spawnServer('nginx', ['-p', dir, '-c', config, '-e', join(dir, 'error.log')], options);
  await untilListening(setup, port, child);
  return { name: 'nginx', target: targetAt(`http://127.0.0.1:${port}`), pids: childrenOf(child.pid ?? 0) };
}

function nginxConfig({ dir, port, upstream }: { dir: string; port: number; upstream: string }): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (use) => `${use}_temp_path ${dir}/${use};`,
  );
  return `
    daemon off; worker_processes 1; pid ${dir}/pid; error_log ${dir}/error.log;
    events { worker_connections 1024; }
    http {
      access_log off; keepalive_requests 1000000000; ${temporary.join(' ')}
      upstream provider { server ${upstream}; keepalive 256; keepalive_requests 1000000000; }
      server {
        listen 127.0.0.1:${port};
        location / { proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection ""; }
      }
    }`;
}

async function untilListening({ testbed }: BenchSetup, port: number, child: ChildProcess): Promise<void> {
  testbed.atStop(() => stopProcess(child, 'SIGTERM'));
  const isListening = (): Promise<boolean> => {
    if (hasExited(child)) throw new Error(`the server exited with code ${child.exitCode}`);
    return new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
  };
  await waitUntil(isListening, { what: `port ${port} accepts connections` });
}
