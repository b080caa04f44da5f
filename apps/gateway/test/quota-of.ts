import type { QuotaReport } from '#contracts';
import { call, postMessage } from '../../../test/support/client.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';

export type ReportedQuota = QuotaReport['providers'][number];

/** The quota of one provider, as `GET /quota` reports it. */
export async function quotaOf(gateway: string, cookie: string, provider = 'free'): Promise<ReportedQuota> {
  const { body } = await call<QuotaReport>(`${gateway}/quota`, { headers: { cookie } });
  const quota = body.providers.find(({ name }) => name === provider);
  if (quota === undefined) throw new Error(`GET /quota lists no provider "${provider}"`);
  return quota;
}

/** Sends messages until the free quota is blocked for longer than `forMs`. */
export async function untilFreeIsBlocked(gateway: string, cookie: string, forMs = 0): Promise<void> {
  const isBlocked = async (): Promise<boolean> => {
    const { state, reopensAt } = await quotaOf(gateway, cookie);
    if (state === 'open') await postMessage(gateway, cookie);
    return state === 'blocked' && Date.parse(reopensAt ?? '') - Date.now() > forMs;
  };
  await waitUntil(isBlocked, { what: 'free quota is blocked' });
}

export async function untilFreeIsOpen(gateway: string, cookie: string): Promise<void> {
  await waitUntil(async () => (await quotaOf(gateway, cookie)).state === 'open', { what: 'free quota is open' });
}
