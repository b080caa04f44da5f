import type { ConsoleEvent, PodTotals } from '#contracts';

export interface Counts {
  free: number;
  paid: number;
  waiting: number;
  refused: number;
  failed: number;
  /** At list prices. */
  spentMicros: number;
  /** What the free messages would have cost at the cheapest paid provider. */
  savedMicros: number;
}

export const NO_COUNTS: Counts = {
  free: 0,
  paid: 0,
  waiting: 0,
  refused: 0,
  failed: 0,
  spentMicros: 0,
  savedMicros: 0,
};

export function add(one: Counts, other: Counts): Counts {
  const keys = Object.keys(NO_COUNTS) as (keyof Counts)[];
  return Object.fromEntries(keys.map((key) => [key, one[key] + other[key]])) as unknown as Counts;
}

/**
 * What all pods did between two events. Each pod sends totals since its start, so events may get lost, and a stream may
 * go on at another pod.
 */
export class TotalsDifference {
  private readonly known = new Map<string, PodTotals>();
  private readonly prices = new Map<string, number>();

  /** @param sinceMs what a pod did before this time is not counted */
  constructor(private readonly sinceMs: number) {}

  next({ pods, quota }: ConsoleEvent): Counts {
    for (const { name, priceMicros } of quota.providers) this.prices.set(name, priceMicros);
    return pods.map((totals) => this.countsSince(totals)).reduce(add, NO_COUNTS);
  }

  private countsSince(now: PodTotals): Counts {
    const isNew = Date.parse(now.startedAt) >= this.sinceMs;
    const before = this.known.get(now.pod) ?? (isNew ? undefined : now);
    this.known.set(now.pod, now);
    const counts = {
      ...NO_COUNTS,
      waiting: now.waiting - (before?.waiting ?? 0),
      refused: now.refused - (before?.refused ?? 0),
      failed: now.failed - (before?.failed ?? 0),
    };
    for (const [provider, delivered] of Object.entries(now.delivered)) {
      this.addDelivered(counts, provider, delivered - (before?.delivered[provider] ?? 0));
    }
    return counts;
  }

  private addDelivered(counts: Counts, provider: string, count: number): void {
    const priceMicros = this.prices.get(provider) ?? 0;
    if (priceMicros === 0) {
      counts.free += count;
      counts.savedMicros += count * this.cheapestPaidMicros();
      return;
    }
    counts.paid += count;
    counts.spentMicros += count * priceMicros;
  }

  private cheapestPaidMicros(): number {
    const paid = [...this.prices.values()].filter((priceMicros) => priceMicros > 0);
    return paid.length === 0 ? 0 : Math.min(...paid);
  }
}
