import { Injectable } from '@nestjs/common';
import { sql } from 'drizzle-orm';
import type { z } from 'zod';
import { type Database, InjectDatabase } from '#database';
import { hashPassword, isPasswordOf } from '#passwords';
import { ProblemException, RedisSignal } from '#service';
import { utc } from '../shared.js';
import { type balanceSchema, type Credentials, type orderSchema, PROBLEMS, type withdrawalSchema } from './schemas.js';

/** Users, their orders, and the ledger of their points. Amounts are hundredths of a point. */
@Injectable()
export class LoyaltyService {
  constructor(
    @InjectDatabase() private readonly db: Database,
    private readonly newOrder: RedisSignal,
  ) {}

  /**
   * @returns the id of the user
   * @throws ProblemException login_taken, unavailable
   */
  async register({ login, password }: Credentials): Promise<string> {
    const passwordHash = await hashPassword(password);
    const { rows } = await this.db.execute<{ id: string }>(sql`
      insert into loyalty.users (login, password_hash) values (${login}, ${passwordHash})
      on conflict (login) do nothing returning id`);
    if (rows[0] === undefined) throw new ProblemException(PROBLEMS.loginTaken, 'Log in, or choose another login.');
    return rows[0].id;
  }

  /**
   * @returns the id of the user
   * @throws ProblemException wrong_login, unavailable
   */
  async authenticate({ login, password }: Credentials): Promise<string> {
    const { rows } = await this.db.execute<{ id: string; password_hash: string }>(
      sql`select id, password_hash from loyalty.users where login = ${login}`,
    );
    const isRight = await isPasswordOf(rows[0]?.password_hash, password);
    if (rows[0] !== undefined && isRight) return rows[0].id;
    throw new ProblemException(PROBLEMS.wrongLogin, 'Check the login and the password.');
  }

  /** @throws ProblemException order_of_another_user */
  async addOrder(userId: string, number: string): Promise<'added' | 'known'> {
    const { rowCount } = await this.db.execute(
      sql`insert into loyalty.orders (number, user_id) values (${number}, ${userId}) on conflict do nothing`,
    );
    if (rowCount === 1) {
      this.newOrder.send();
      return 'added';
    }
    const own = sql`select from loyalty.orders where number = ${number} and user_id = ${userId}`;
    if ((await this.db.execute(own)).rowCount === 1) return 'known';
    throw new ProblemException(PROBLEMS.othersOrder, 'Check the number. Each order belongs to one user.');
  }

  async orders(userId: string): Promise<z.infer<typeof orderSchema>[]> {
    const { rows } = await this.db.execute<{ item: z.infer<typeof orderSchema> }>(sql`
      select jsonb_strip_nulls(jsonb_build_object('number', number, 'status', status, 'accrual', accrual / 100.0,
        'uploaded_at', ${utc('uploaded_at')})) as item
      from loyalty.orders where user_id = ${userId} order by uploaded_at desc`);
    return rows.map(({ item }) => item);
  }

  async balance(userId: string): Promise<z.infer<typeof balanceSchema>> {
    const { rows } = await this.db.execute<z.infer<typeof balanceSchema>>(sql`
      select (balance / 100.0)::float8 as current, (withdrawn / 100.0)::float8 as withdrawn
      from loyalty.users where id = ${userId}`);
    return rows[0] ?? { current: 0, withdrawn: 0 };
  }

  /**
   * The update locks the row of the user: each of several concurrent withdrawals sees the balance that the others leave.
   * @throws ProblemException insufficient_balance
   */
  async withdraw(userId: string, { order, sum }: { order: string; sum: number }): Promise<void> {
    const { rowCount } = await this.db.execute(sql`
      with debited as (
        update loyalty.users set balance = balance - ${sum}::bigint, withdrawn = withdrawn + ${sum}::bigint
        where id = ${userId} and balance >= ${sum}::bigint returning id
      )
      insert into loyalty.entries (user_id, order_number, amount) select id, ${order}, -${sum}::bigint from debited`);
    if (rowCount === 0) throw new ProblemException(PROBLEMS.tooFewPoints, 'Withdraw at most your balance.');
  }

  async withdrawals(userId: string): Promise<z.infer<typeof withdrawalSchema>[]> {
    const { rows } = await this.db.execute<{ item: z.infer<typeof withdrawalSchema> }>(sql`
      select jsonb_build_object('order', order_number, 'sum', -amount / 100.0,
        'processed_at', ${utc('created_at')}) as item
      from loyalty.entries where user_id = ${userId} and amount < 0 order by created_at desc`);
    return rows.map(({ item }) => item);
  }
}
