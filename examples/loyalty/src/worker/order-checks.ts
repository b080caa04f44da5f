import { Logger } from '@nestjs/common';
import { sql } from 'drizzle-orm';
import { z } from 'zod';
import type { Database } from '#database';
import type { Answer, LimitedClient, WorkSource } from '#limited-client';
import type { Permit } from '#quota';
import { httpUrl, OutageLog, wholeNumber } from '#service';

const durationMs = wholeNumber({ min: 10, max: 86_400_000 });

export const checkSettings = {
  ACCRUAL_URL: httpUrl(),
  ACCRUAL_TIMEOUT_MS: durationMs.default(5_000),
  /** Pause before the second check of an order. It doubles with each check, up to the longest. */
  CHECK_DELAY_MS: durationMs.default(1_000),
  CHECK_DELAY_MAX_MS: durationMs.default(3_600_000),
  /** After this time another worker checks the order of a worker that died. Longer than the timeout. */
  CLAIM_MS: durationMs.default(30_000),
};

const accruedSchema = z.object({
  status: z.enum(['REGISTERED', 'PROCESSING', 'INVALID', 'PROCESSED']),
  accrual: z.number().min(0).default(0),
});
type Accrued = z.infer<typeof accruedSchema>;

/** Orders to check: when, and what came of it. Recording a check ends the claim; a claim also ends by itself. */
export class OrderChecks implements WorkSource<string> {
  private readonly outage = new OutageLog(new Logger('accrual'), {
    failed: 'accrual service fails',
    recovered: 'accrual service answers again',
  });

  constructor(
    private readonly db: Database,
    private readonly client: LimitedClient,
    private readonly settings: z.infer<z.ZodObject<typeof checkSettings>>,
  ) {}

  async look(most: number): Promise<{ due: number; nextInMs: number }> {
    const { rows } = await this.db.execute<{ due: number; next_in_ms: number | null }>(sql`
      select (select count(*)::int from (select from loyalty.orders where due_at <= now() limit ${most}) as due) as due,
        (select extract(epoch from min(due_at) - now())::float8 * 1000 from loyalty.orders) as next_in_ms`);
    return { due: rows[0]?.due ?? 0, nextInMs: rows[0]?.next_in_ms ?? Infinity };
  }

  async claim(most: number): Promise<string[]> {
    const { rows } = await this.db.execute<{ number: string }>(sql`
      with due as (
        select number from loyalty.orders where due_at <= now() order by late_at limit ${most} for update skip locked
      )
      update loyalty.orders set due_at = now() + ${this.settings.CLAIM_MS} * interval '1 ms' from due
      where orders.number = due.number returning orders.number`);
    return rows.map(({ number }) => number);
  }

  async work(number: string, permit: Permit): Promise<void> {
    const answer = await this.client.send(permit, `${this.settings.ACCRUAL_URL}/api/orders/${number}`);
    if (answer.outcome === 'notSent' || answer.outcome === 'refused') return this.makeDue(number);
    const accrued = parseAnswer(answer);
    if (accrued === undefined) this.outage.failed(answer);
    else this.outage.recovered();
    if (accrued?.status === 'PROCESSED' || accrued?.status === 'INVALID') return this.finish(number, accrued);
    return this.postpone(number, accrued?.status);
  }

  private async makeDue(number: string): Promise<void> {
    await this.db.execute(
      sql`update loyalty.orders set due_at = now() where number = ${number} and due_at is not null`,
    );
  }

  private async postpone(number: string, status?: 'REGISTERED' | 'PROCESSING'): Promise<void> {
    const { CHECK_DELAY_MS: firstMs, CHECK_DELAY_MAX_MS: maxMs } = this.settings;
    const delay = sql`least(${firstMs} * 2.0 ^ least(checks, 30), ${maxMs}) * interval '1 ms'`;
    await this.db.execute(sql`
      update loyalty.orders set status = coalesce(replace(${status ?? null}, 'REGISTERED', 'NEW'), status),
        checks = checks + 1, due_at = now() + ${delay}, late_at = now() + 2 * ${delay}
      where number = ${number} and due_at is not null`);
  }

  /** One statement, and once: a worker whose claim had ended before finds a final order, and adds nothing. */
  private async finish(number: string, { status, accrual }: Accrued): Promise<void> {
    const hundredths = status === 'PROCESSED' ? Math.round(accrual * 100) : null;
    await this.db.execute(sql`
      with final as (
        update loyalty.orders set status = ${status}, accrual = ${hundredths}, due_at = null
        where number = ${number} and due_at is not null returning user_id, number, accrual
      ), entry as (
        insert into loyalty.entries (user_id, order_number, amount)
        select user_id, number, accrual from final where accrual > 0 returning user_id, amount
      )
      update loyalty.users set balance = balance + entry.amount from entry where users.id = entry.user_id`);
  }
}

/** Undefined for an answer that tells nothing. An order that the service does not know yet may be registered later. */
function parseAnswer(answer: Answer): Accrued | undefined {
  if (answer.outcome !== 'answered') return undefined;
  if (answer.status === 204) return { status: 'REGISTERED', accrual: 0 };
  return answer.status === 200 ? accruedSchema.safeParse(jsonIn(answer.body)).data : undefined;
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
