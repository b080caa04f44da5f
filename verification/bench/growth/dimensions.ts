import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Target } from '../load.js';
import { createDatabase } from '../../engines/native-engines.js';
import { openQuota, paid, spentQuota } from '../provider-entries.js';
import { PAID_PATH, startBareProxy } from '../sides/others.js';
import { JSON_HEADERS, MESSAGE_BODY } from '../sides/side.js';
import type { Server, Site } from '../site.js';
import { addMessages } from './add-messages.js';

/** Something that may become many, and what a message costs then. */
export interface Dimension {
  name: string;
  unit: string;
  points: Point[];
  /** The same of something else, for what the machine adds: one for each point. */
  control?: { name: string; points: Point[] };
}

export interface Point {
  value: number;
  target: Target;
  /** Of those that take the messages. */
  pids: number[];
}

/** Where gateways and messages go in all of them. */
export interface Ground {
  site: Site;
  /** The provider's. */
  origin: string;
  cookie: string;
}

export const DIMENSIONS = { pods, accounts, providers, waiting, journal, size };

async function pods(ground: Ground): Promise<Dimension> {
  const { site, origin } = ground;
  const counts = [1, 2, 4, 8];
  const points = counts.map(async (value) => {
    const DATABASE_URL = await createDatabase(site.postgres.url);
    const entries = [openQuota(origin, `pods-${value}`), paid(origin)];
    const start = (): Promise<Server> => site.startGateway(entries, { DATABASE_URL });
    return pointOf(ground, value, await Promise.all(Array.from({ length: value }, start)));
  });
  const bare = counts.map(async (value) => {
    const proxies = await Promise.all(Array.from({ length: value }, () => startBareProxy(site, origin)));
    const { target, pids } = pointOf(ground, value, proxies);
    return { value, target: { ...target, path: PAID_PATH }, pids };
  });
  const control = { name: 'bare proxies', points: await Promise.all(bare) };
  return { name: 'pods', unit: 'gateways', points: await Promise.all(points), control };
}

async function accounts(ground: Ground): Promise<Dimension> {
  const { site, origin } = ground;
  const gateway = await site.startGateway([openQuota(origin, 'accounts'), paid(origin)]);
  const points: Point[] = [];
  for (const value of [10, 1_000, 100_000]) {
    const cookies: string[] = [];
    for (let count = 0; count < value; count += 1) cookies.push(await site.tokens.cookie());
    const cookiesFile = join(site.dir, `cookies-${value}`);
    writeFileSync(cookiesFile, cookies.join('\n'));
    const point = pointOf(ground, value, [gateway]);
    points.push({ ...point, target: { ...point.target, headers: JSON_HEADERS, cookiesFile } });
  }
  return { name: 'accounts', unit: 'accounts that send', points };
}

/** All of them with a quota; the first has room. */
async function providers(ground: Ground): Promise<Dimension> {
  const points = [2, 20, 200].map(async (value) => {
    const many = Array.from({ length: value }, (_, index) => openQuota(ground.origin, `providers-${value}-${index}`));
    return pointOf(ground, value, [await ground.site.startGateway(many)]);
  });
  return { name: 'providers', unit: 'providers', points: await Promise.all(points) };
}

/** Messages that wait for free quota, while others are paid for. */
async function waiting(ground: Ground): Promise<Dimension> {
  return withMessages(ground, {
    name: 'waiting',
    unit: 'messages that wait',
    status: 'waiting',
    counts: [0, 10_000, 100_000],
  });
}

/** Messages that are over. */
async function journal(ground: Ground): Promise<Dimension> {
  return withMessages(ground, {
    name: 'journal',
    unit: 'messages in the journal',
    status: 'delivered',
    counts: [0, 200_000, 2_000_000],
  });
}

async function size(ground: Ground): Promise<Dimension> {
  const { site, origin } = ground;
  const gateway = await site.startGateway([openQuota(origin, 'size'), paid(origin)]);
  const points = [32, 1_024, 8_192, 32_768, 65_536].map((value) => {
    const body = JSON.stringify({ message: 'x'.repeat(value) });
    const { target, pids: own } = pointOf(ground, value, [gateway]);
    return { value, target: { ...target, body }, pids: own };
  });
  return { name: 'size', unit: 'bytes', points };
}

async function withMessages(
  ground: Ground,
  { name, unit, status, counts }: { name: string; unit: string; status: 'waiting' | 'delivered'; counts: number[] },
): Promise<Dimension> {
  const { site, origin } = ground;
  const points: Point[] = [];
  for (const value of counts) {
    const DATABASE_URL = await createDatabase(site.postgres.url);
    const gateway = await site.startGateway([spentQuota(origin, `${name}-${value}`), paid(origin)], { DATABASE_URL });
    await addMessages(DATABASE_URL, { status, count: value });
    points.push(pointOf(ground, value, [gateway]));
  }
  return { name, unit, points };
}

function pointOf({ cookie }: Ground, value: number, gateways: readonly Server[]): Point {
  const origins = gateways.map(({ origin }) => origin);
  const target = { origins, path: '/messages', headers: { ...JSON_HEADERS, cookie }, body: MESSAGE_BODY, status: 200 };
  return { value, target, pids: gateways.map(({ pid }) => pid) };
}
