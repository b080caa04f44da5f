import type { Target } from '../load.js';
import { LIMIT_MAX, type Server, type Site } from '../site.js';
import { JSON_HEADERS, MESSAGE_BODY, type Side, TEXT } from './side.js';

const HOUR_MS = 3_600_000;

export const OCTO = {
  free: 'octo, free',
  paid: 'octo, paid while blocked',
  later: 'octo, accepted for later',
} as const;

/** All of it on: token, quota, journal. Free quota that never ends, free quota that is spent, and a message for later. */
export async function octoSides(site: Site, provider: Server): Promise<Side[]> {
  const headers = { ...JSON_HEADERS, cookie: await site.tokens.cookie() };
  const send = { path: '/messages', headers, body: MESSAGE_BODY, status: 200 };
  const [free, blocked, async] = await Promise.all([
    startGateway(site, provider, { name: 'open', limit: LIMIT_MAX }),
    startGateway(site, provider, { name: 'spent', limit: 1 }),
    startGateway(site, provider, { name: 'spent-too', limit: 1 }),
  ]);
  // On disk, and sent when the quota opens, which it does not while this is measured.
  const later: Pick<Target, 'headers' | 'body' | 'status'> = {
    headers: { ...headers, prefer: 'respond-async' },
    body: JSON.stringify({ message: TEXT, paid: 'never' }),
    status: 202,
  };
  return [
    { name: OCTO.free, target: { origins: [free.origin], ...send }, pids: [free.pid] },
    { name: OCTO.paid, target: { origins: [blocked.origin], ...send }, pids: [blocked.pid] },
    { name: OCTO.later, target: { origins: [async.origin], ...send, ...later }, pids: [async.pid] },
  ];
}

function startGateway(
  site: Site,
  { origin }: Server,
  { name, limit }: { name: string; limit: number },
): Promise<Server> {
  const quota = { policy: 'count-then-block', limit, blockMs: HOUR_MS, startsAt: 'last-accept' };
  return site.startGateway([
    { name, url: `${origin}/${limit === LIMIT_MAX ? 'free/bench' : 'paid'}/messages`, priceMicros: 0, quota },
    { name: 'paid', url: `${origin}/paid/messages`, priceMicros: 2_500 },
  ]);
}
