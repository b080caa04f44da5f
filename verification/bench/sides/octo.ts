import type { Target } from '../load.js';
import { openQuota, paid, spentQuota } from '../provider-entries.js';
import type { Server, Site } from '../site.js';
import { JSON_HEADERS, MESSAGE_BODY, type Side, TEXT } from './side.js';

export const OCTO = {
  free: 'octo, free',
  paid: 'octo, paid while blocked',
  later: 'octo, accepted for later',
} as const;

/** All of it on: token, quota, journal. Free quota that never ends, free quota that is spent, and a message for later. */
export async function octoSides(site: Site, { origin }: Server): Promise<Side[]> {
  const headers = { ...JSON_HEADERS, cookie: await site.tokens.cookie() };
  const send = { path: '/messages', headers, body: MESSAGE_BODY, status: 200 };
  const [free, blocked, async] = await Promise.all([
    site.startGateway([openQuota(origin, 'open'), paid(origin)]),
    site.startGateway([spentQuota(origin, 'spent'), paid(origin)]),
    site.startGateway([spentQuota(origin, 'spent-too'), paid(origin)]),
  ]);
  // On disk, and sent when the quota opens, which it does not while this is measured.
  const later: Pick<Target, 'headers' | 'body' | 'status'> = {
    headers: { ...headers, prefer: 'respond-async' },
    body: JSON.stringify({ message: TEXT, paid: 'never' }),
    status: 202,
  };
  await goesBy(['open'], { origins: [free.origin], ...send });
  await goesBy(['spent', 'paid'], { origins: [blocked.origin], ...send });
  return [
    { name: OCTO.free, target: { origins: [free.origin], ...send }, pids: [free.pid] },
    { name: OCTO.paid, target: { origins: [blocked.origin], ...send }, pids: [blocked.pid] },
    { name: OCTO.later, target: { origins: [async.origin], ...send, ...later }, pids: [async.pid] },
  ];
}

/**
 * The first messages, by whom they should be delivered: what is measured is what it is called.
 * @throws when one went another way
 */
async function goesBy(wanted: readonly string[], { origins: [origin], path, headers, body }: Target): Promise<void> {
  for (const provider of wanted) {
    const answer = await fetch(`${origin}${path}`, { method: 'POST', headers, body });
    const text = await answer.text();
    if (!text.includes(`"provider":"${provider}"`)) throw new Error(`not delivered by ${provider}: ${text}`);
  }
}
