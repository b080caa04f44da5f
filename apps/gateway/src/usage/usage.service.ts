import { Inject, Injectable } from '@nestjs/common';
import type { Caller } from '#access-token';
import type { Usage } from '#contracts';
import { ProblemException } from '#service';
import { type GatewaySettings, SETTINGS } from '../gateway.settings.js';
import { type DeliveredCount, MessageQueries } from '../journal/message-queries.service.js';
import { PROVIDERS, type ProvidersFile } from '../providers/providers-file.js';
import { cheapestPaidMicros } from '../routing/choose-route.js';
import { rangeOf, type UsageQuery } from './usage-query.js';

type Sums = Pick<Usage, 'free' | 'paid' | 'savedMicros'>;

/** How many messages were delivered, what they cost, and what free quota has saved. */
@Injectable()
export class UsageService {
  constructor(
    @Inject(PROVIDERS) private readonly config: ProvidersFile,
    @Inject(SETTINGS) private readonly settings: GatewaySettings,
    private readonly queries: MessageQueries,
  ) {}

  /** @throws ProblemException forbidden */
  async of(caller: Caller, query: UsageQuery): Promise<Usage> {
    const { by, account = caller.accountId } = query;
    if (account !== caller.accountId && caller.role !== 'admin') {
      throw new ProblemException('forbidden', 'Only an admin may see the usage of other accounts.');
    }
    const timeZone = this.settings.BUDGET_TIME_ZONE;
    const range = rangeOf(query, timeZone, Date.now());
    const accountId = account === 'all' ? undefined : account;
    const counts = await this.queries.countDelivered({ accountId, ...range, by, timeZone });
    const { currency } = this.config;
    if (by === undefined) return { ...this.sum(counts), currency };
    const keys = [...new Set(counts.map(({ key }) => key))];
    const series = keys.map((key) =>
      Object.assign(this.sum(counts.filter((count) => count.key === key)), { [by]: key }),
    );
    return { ...this.sum(counts), currency, series };
  }

  private sum(counts: readonly DeliveredCount[]): Sums {
    const sums = { free: { count: 0 }, paid: { count: 0, costMicros: 0 }, savedMicros: 0 };
    for (const { channel, free, paid, costMicros } of counts) {
      sums.free.count += free;
      sums.paid.count += paid;
      sums.paid.costMicros += costMicros;
      sums.savedMicros += free * cheapestPaidMicros(this.config.channels.get(channel));
    }
    return sums;
  }
}

/** One row for each day, provider or channel, or one row for all (RFC 4180). */
export function csvOf({ series, ...total }: Usage, by: UsageQuery['by']): string {
  const lineOf = (key: string, { free, paid, savedMicros }: Sums): string =>
    [key, free.count, paid.count, paid.costMicros, savedMicros, total.currency].join(',');
  const rows = by === undefined ? [lineOf('all', total)] : (series ?? []).map((row) => lineOf(row[by] ?? '', row));
  return [`${by ?? 'total'},free,paid,costMicros,savedMicros,currency`, ...rows, ''].join('\r\n');
}
