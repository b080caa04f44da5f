import { Controller, Get, HttpCode, Injectable, Post, Res, UseFilters, UseGuards } from '@nestjs/common';
import { ApiCookieAuth } from '@nestjs/swagger';
import { sql } from 'drizzle-orm';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { AccessTokenGuard, type Caller, CurrentCaller } from '#access-token';
import { type Database, DatabaseDownFilter, InjectDatabase } from '#database';
import { ApiCall, ProblemException, ValidBody } from '#service';
import { pointsOf, pointsSchema } from '../points.js';
import { utc } from '../shared.js';
import { listed, orderNumber } from './orders.js';
import { PROBLEMS } from './problems.js';

const balanceSchema = z.object({ current: z.number(), withdrawn: z.number() });
const newWithdrawalSchema = z.strictObject({ order: z.string(), sum: pointsSchema }).meta({ id: 'NewWithdrawal' });
const withdrawalSchema = z.object({
  order: z.string(),
  sum: z.number(),
  processed_at: z.iso.datetime(),
});

@Injectable()
export class Balances {
  constructor(@InjectDatabase() private readonly db: Database) {}

  async of(userId: string): Promise<z.infer<typeof balanceSchema>> {
    const { rows } = await this.db.execute<{ balance: string; withdrawn: string }>(
      sql`select balance, withdrawn from loyalty.users where id = ${userId}`,
    );
    const { balance, withdrawn } = rows[0] ?? { balance: 0, withdrawn: 0 };
    return { current: pointsOf(balance), withdrawn: pointsOf(withdrawn) };
  }

  /**
   * The update locks the row of the user: of concurrent withdrawals each one sees the balance that the others leave.
   * @param sum in hundredths
   * @throws ProblemException insufficient_balance
   */
  async withdraw(userId: string, { order, sum }: { order: string; sum: number }): Promise<void> {
    const { rowCount } = await this.db.execute(sql`
      with debited as (
        update loyalty.users set balance = balance - ${sum}::bigint, withdrawn = withdrawn + ${sum}::bigint
        where id = ${userId} and balance >= ${sum}::bigint returning id
      )
      insert into loyalty.entries (user_id, order_number, amount) select id, ${order}, -${sum}::bigint from debited`);
    if (rowCount === 0) throw new ProblemException(PROBLEMS.insufficientBalance, 'Withdraw at most your balance.');
  }

  async withdrawals(userId: string): Promise<z.infer<typeof withdrawalSchema>[]> {
    const { rows } = await this.db.execute<{ item: z.infer<typeof withdrawalSchema> }>(sql`
      select jsonb_build_object('order', order_number, 'sum', -amount / 100.0, 'processed_at', ${utc('created_at')}) as item
      from loyalty.entries where user_id = ${userId} and amount < 0 order by created_at desc`);
    return rows.map(({ item }) => item);
  }
}

@Controller('api/user')
@UseGuards(AccessTokenGuard)
@ApiCookieAuth()
@UseFilters(DatabaseDownFilter)
export class BalanceController {
  constructor(private readonly balances: Balances) {}

  @Get('balance')
  @ApiCall('Your points', { 200: balanceSchema }, 'unauthenticated', 'unavailable')
  balance(@CurrentCaller() { accountId }: Caller) {
    return this.balances.of(accountId);
  }

  @Post('balance/withdraw')
  @HttpCode(200)
  @ApiCall(
    'Pay for an order with points',
    { 200: 'Withdrawn' },
    ...(['invalid_request', 'unauthenticated', 'unavailable'] as const),
    ...[PROBLEMS.insufficientBalance, PROBLEMS.wrongNumber],
  )
  async withdraw(
    @ValidBody(newWithdrawalSchema) { order, sum }: z.infer<typeof newWithdrawalSchema>,
    @CurrentCaller() { accountId }: Caller,
  ): Promise<void> {
    await this.balances.withdraw(accountId, { order: orderNumber(order), sum });
  }

  @Get('withdrawals')
  @ApiCall('Your withdrawals', { 200: z.array(withdrawalSchema), 204: 'None' }, 'unauthenticated', 'unavailable')
  async withdrawals(@CurrentCaller() { accountId }: Caller, @Res({ passthrough: true }) reply: FastifyReply) {
    return listed(await this.balances.withdrawals(accountId), reply);
  }
}
