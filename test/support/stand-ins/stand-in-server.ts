import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import jsonata from 'jsonata';
import { parse } from 'yaml';

/** An answer. A string that is one `{{ expression }}` becomes its value. */
interface StandInAnswer {
  status: number;
  headers?: Record<string, string>;
  body?: unknown;
}

/** An error of the provider, and what Octo makes of it. */
export interface StandInError extends StandInAnswer {
  outcome: 'rejected' | 'refused' | 'unauthorized' | 'failed' | 'unknown';
  /** Part of the explanation that the caller gets. */
  detail?: string;
  /** The wait that a refusal names, or the length of the quota's window. */
  waitMs?: number;
}

/** What a provider expects and answers, read from a data file. */
export interface StandIn {
  name: string;
  /** The provider's own one, which the ready file names. */
  origin: string;
  /** Values of the variables of the ready file. */
  env: Record<string, string>;
  message: Record<string, unknown>;
  /** Field of the message that a test appends the name of an error to, such as `stand-in:too-fast`. */
  trigger: string;
  /** JSONata: whether a request has everything that the documentation asks for. */
  request: string;
  /** JSONata: whether a request came from the paid account. Errors are for the free one. */
  isPaid?: string;
  delivered: StandInAnswer;
  /** What the caller gets. */
  response: unknown;
  /** Cost at the paid provider, where its answer says it. */
  costMicros?: number;
  onRejected?: 'next';
  errors: Record<string, StandInError>;
}

const DIR = new URL('.', import.meta.url).pathname;

export const standIns: StandIn[] = readdirSync(DIR)
  .filter((file) => file.endsWith('.yaml'))
  .map((file) =>
    Object.assign({ name: file.replace('.yaml', '') }, parse(readFileSync(`${DIR}${file}`, 'utf8')) as FromFile),
  );

type FromFile = Omit<StandIn, 'name'>;

export interface StandInServer {
  /** Where a provider's requests go instead of to its origin. */
  originOf: (standIn: StandIn) => string;
  /** Requests that lack something the documentation asks for. */
  unexpected: object[];
  stop: () => Promise<void>;
}

/** Serves all stand-ins, each under its name. */
export async function startStandIns(): Promise<StandInServer> {
  const unexpected: object[] = [];
  const server = createServer((request, response) => {
    void answer(request, response, unexpected);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    originOf: ({ name }) => `http://127.0.0.1:${port}/${name}`,
    unexpected,
    stop: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

async function answer(request: IncomingMessage, response: ServerResponse, unexpected: object[]): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://stand-in');
  const [, name = '', ...rest] = url.pathname.split('/');
  const standIn = standIns.find((candidate) => candidate.name === name);
  const raw = await text(request);
  const seen = {
    method: request.method,
    path: `/${rest.join('/')}`,
    query: Object.fromEntries(url.searchParams),
    headers: request.headers,
    body: bodyOf(raw, request.headers['content-type']),
  };
  const isComplete = standIn !== undefined && (await jsonata(standIn.request).evaluate(seen)) === true;
  if (!isComplete) {
    unexpected.push(seen);
    response.writeHead(418).end();
    return;
  }
  const isPaid = standIn.isPaid !== undefined && (await jsonata(standIn.isPaid).evaluate(seen)) === true;
  const error = /stand-in:([a-z-]+)/.exec(decodeURIComponent(`${request.url ?? ''} ${raw}`))?.[1] ?? '';
  await write(response, (isPaid ? undefined : standIn.errors[error]) ?? standIn.delivered);
}

function bodyOf(raw: string, type = ''): unknown {
  if (raw === '') return undefined;
  return type.startsWith('application/json') ? JSON.parse(raw) : Object.fromEntries(new URLSearchParams(raw));
}

async function write(response: ServerResponse, { status, headers = {}, body }: StandInAnswer): Promise<void> {
  const content = await filled(body);
  const isText = typeof content === 'string';
  response.writeHead(status, {
    'content-type': isText ? 'text/plain' : 'application/json',
    ...((await filled(headers)) as Record<string, string>),
  });
  response.end(isText || content === undefined ? content : JSON.stringify(content));
}

async function filled(value: unknown): Promise<unknown> {
  if (typeof value === 'string') {
    const expression = /^\{\{(.*)\}\}$/.exec(value)?.[1];
    return expression === undefined ? value : jsonata(expression).evaluate({});
  }
  if (Array.isArray(value)) return Promise.all(value.map(filled));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(async ([key, item]) => [key, await filled(item)] as const);
  return Object.fromEntries(await Promise.all(entries));
}
