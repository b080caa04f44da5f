import type { QuotaReport } from '#contracts';
import { call } from '../../../test/support/client.js';

export type ReportedQuota = QuotaReport['providers'][number];

/** The quota of one provider, as `GET /quota` reports it. */
export async function quotaOf(gateway: string, cookie: string, provider = 'free'): Promise<ReportedQuota> {
  const { body } = await call<QuotaReport>(`${gateway}/quota`, { headers: { cookie } });
  const quota = body.providers.find(({ name }) => name === provider);
  if (quota === undefined) throw new Error(`GET /quota lists no provider "${provider}"`);
  return quota;
}
