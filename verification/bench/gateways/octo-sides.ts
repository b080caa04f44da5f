import type { Server } from '../../testbed/testbed.js';
import { type BenchSetup, TEXT } from '../bench-setup.js';
import type { Target } from '../load.js';
import { openQuota, paid, spentQuota } from '../provider-entries.js';
import type { Side } from './rounds.js';

export const OCTO = {
  free: 'octo, free',
  paid: 'octo, paid while blocked',
  later: 'octo, accepted for later',
} as const;

/** Octo with everything on (token, quota, journal): a quota that never ends, a spent quota, and a message for later. */
export async function octoSides(setup: BenchSetup): Promise<Side[]> {
  const { provider } = setup;
  const [free, blocked, async] = await Promise.all([
    setup.startGateway([openQuota(provider, 'open'), paid(provider)]),
    setup.startGateway([spentQuota(provider, 'spent'), paid(provider)]),
    setup.startGateway([spentQuota(provider, 'spent-too'), paid(provider)]),
  ]);
  const side = (name: string, gateway: Server): Side => ({
    name,
    target: setup.messageTo(gateway),
    pids: [gateway.pid],
  });
  const sides = [side(OCTO.free, free), side(OCTO.paid, blocked), later(side(OCTO.later, async))] as const;
  await assertRoute(sides[0].target, ['open']);
  await assertRoute(sides[1].target, ['spent', 'paid']);
  return [...sides];
}

/** Recorded, and sent when the quota opens, which does not happen during the measurement. */
function later({ target, ...side }: Side): Side {
  const headers = { ...target.headers, prefer: 'respond-async' };
  const body = JSON.stringify({ message: TEXT, paid: 'never' });
  return { ...side, target: { ...target, headers, body, status: 202 } };
}

/** @throws when these providers do not deliver the first messages, in this order */
async function assertRoute({ origin, path, headers, body }: Target, providers: string[]): Promise<void> {
  for (const provider of providers) {
    const answer = await fetch(`${origin}${path}`, { method: 'POST', headers, body });
    const text = await answer.text();
    if (!text.includes(`"provider":"${provider}"`)) throw new Error(`not delivered by ${provider}: ${text}`);
  }
}
