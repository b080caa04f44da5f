import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../../tools/stack/free-port.js';
import { untilListening } from '../../engines/native-engines.js';
import { childrenOf } from '../process-use.js';
import type { Server, Site } from '../site.js';
import { JSON_HEADERS, MESSAGE_BODY, type Side, TEXT } from './side.js';

export const PAID_PATH = '/paid/messages';

export const BARE = 'bare Node proxy';
export const PORTKEY = 'Portkey gateway';
export const USUAL = 'Nest, Express, stock axios, jsonwebtoken';

/** No gateway at all. */
export function direct({ origin }: Server): Side {
  return {
    name: 'direct',
    target: { origins: [origin], path: PAID_PATH, headers: JSON_HEADERS, body: MESSAGE_BODY, status: 200 },
    pids: [],
  };
}

/** What a proxy in Node costs at least. */
export async function bareProxy(site: Site, provider: Server): Promise<Side> {
  const { origin, pid } = await startBareProxy(site, provider.origin);
  return {
    ...direct(provider),
    name: BARE,
    target: { ...direct(provider).target, origins: [origin] },
    pids: [pid],
  };
}

export function startBareProxy(site: Site, upstream: string): Promise<Server> {
  return site.startServer('bare proxy', join(import.meta.dirname, 'bare-proxy.js'), { UPSTREAM: upstream });
}

export async function usualWay(site: Site, provider: Server, peersDir: string): Promise<Side> {
  const { origin, pid } = await site.startServer('usual gateway', join(peersDir, 'usual-gateway.js'), {
    NODE_ENV: 'production',
    UPSTREAM: provider.origin + PAID_PATH,
    PUBLIC_KEY: site.tokens.publicPem,
  });
  const headers = { ...JSON_HEADERS, cookie: await site.tokens.cookie() };
  return {
    name: USUAL,
    target: { origins: [origin], path: '/messages', headers, body: MESSAGE_BODY, status: 200 },
    pids: [pid],
  };
}

/** Speaks only the dialect of language models: a provider behind its own address, no key checked, nothing recorded. */
export async function portkey(site: Site, provider: Server, peersDir: string): Promise<Side> {
  const port = await freePort();
  const entry = join(peersDir, '../node_modules/@portkey-ai/gateway/build/start-server.js');
  const child = spawn(process.execPath, [entry, `--port=${port}`, '--headless'], {
    stdio: 'ignore',
    env: { PATH: process.env['PATH'], NODE_ENV: 'production' },
  });
  site.atEnd(() => void child.kill());
  await untilListening(port, child);
  return {
    name: PORTKEY,
    target: {
      origins: [`http://127.0.0.1:${port}`],
      path: '/v1/chat/completions',
      headers: {
        ...JSON_HEADERS,
        authorization: 'Bearer bench',
        'x-portkey-provider': 'openai',
        'x-portkey-custom-host': `${provider.origin}/v1`,
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

/** One worker: the others have one thread for their work as well. */
export async function nginx(site: Site, provider: Server): Promise<Side> {
  const dir = join(site.dir, 'nginx');
  mkdirSync(dir);
  const port = await freePort();
  const config = join(dir, 'nginx.conf');
  writeFileSync(config, nginxConfig({ dir, port, upstream: new URL(provider.origin).host }));
  const child = spawn('nginx', ['-p', dir, '-c', config, '-e', join(dir, 'error.log')], { stdio: 'ignore' });
  site.atEnd(() => void child.kill());
  await untilListening(port, child);
  const target = { ...direct(provider).target, origins: [`http://127.0.0.1:${port}`] };
  return { name: 'nginx', target, pids: childrenOf(child.pid ?? 0) };
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
