import { pointsOf } from '../points.js';
import type { AccruedOrder, NewGood, NewOrder } from './accrual.controller.js';

/** Accepts `limit` requests in any `periodMs`. It counts by itself, with no code of the workers. */
export class RequestLimit {
  readonly stats = { accepted: 0, refused: 0 };
  private readonly acceptedAtMs: number[] = [];

  constructor(readonly options: { limit: number; periodMs: number }) {}

  /** @returns 0 if the request is accepted, otherwise how long to wait, in milliseconds */
  take(nowMs: number): number {
    const { limit, periodMs } = this.options;
    while ((this.acceptedAtMs[0] ?? nowMs) <= nowMs - periodMs) this.acceptedAtMs.shift();
    const isAccepted = this.acceptedAtMs.length < limit;
    this.stats[isAccepted ? 'accepted' : 'refused'] += 1;
    if (!isAccepted) return (this.acceptedAtMs[0] ?? nowMs) + periodMs - nowMs;
    this.acceptedAtMs.push(nowMs);
    return 0;
  }
}

/** Rewards and orders, in memory: the service stands in for another company's. */
export class RegisteredOrders {
  private readonly goods = new Map<string, NewGood>();
  /** `accrual` in hundredths; undefined if no good of the order has a reward. */
  private readonly orders = new Map<string, { atMs: number; accrual: number | undefined }>();

  constructor(private readonly processingMs: number) {}

  /** False if there is a reward for this match already. */
  addGood(good: NewGood): boolean {
    if (this.goods.has(good.match)) return false;
    return this.goods.set(good.match, good).has(good.match);
  }

  /** False if the order is registered already. */
  register({ order, goods }: NewOrder, atMs: number): boolean {
    if (this.orders.has(order)) return false;
    const rewards = goods.flatMap((good) => this.rewardOf(good) ?? []);
    const accrual = rewards.length === 0 ? undefined : rewards.reduce((sum, reward) => sum + reward, 0);
    return this.orders.set(order, { atMs, accrual }).has(order);
  }

  find(order: string, nowMs: number): AccruedOrder | undefined {
    const { atMs, accrual } = this.orders.get(order) ?? {};
    if (atMs === undefined) return undefined;
    const ageMs = nowMs - atMs;
    if (ageMs < this.processingMs)
      return { order, status: ageMs < this.processingMs / 2 ? 'REGISTERED' : 'PROCESSING' };
    return accrual === undefined
      ? { order, status: 'INVALID' }
      : { order, status: 'PROCESSED', accrual: pointsOf(accrual) };
  }

  /** In hundredths, by the first reward that matches. */
  private rewardOf({ description, price }: NewOrder['goods'][number]): number | undefined {
    const good = [...this.goods.values()].find(({ match }) => description.includes(match));
    return good && Math.round(good.reward_type === '%' ? (price * good.reward) / 100 : good.reward * 100);
  }
}
