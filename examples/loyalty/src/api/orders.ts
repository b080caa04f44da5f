import { Body, Controller, Get, Injectable, Post, Res, UseFilters, UseGuards } from '@nestjs/common';
import { ApiBody, ApiConsumes, ApiCookieAuth } from '@nestjs/swagger';
import { sql } from 'drizzle-orm';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { AccessTokenGuard, type Caller, CurrentCaller } from '#access-token';
import { type Database, DatabaseDownFilter, InjectDatabase } from '#database';
import { ApiCall, ProblemException, RedisSignal } from '#service';
import { isOrderNumber } from '../order-number.js';
import { utc } from '../shared.js';
import { PROBLEMS } from './problems.js';

const orderSchema = z.object({
  number: z.string(),
  status: z.enum(['NEW', 'PROCESSING', 'INVALID', 'PROCESSED']),
  accrual: z.number().optional(),
  uploaded_at: z.iso.datetime(),
});
type Order = z.infer<typeof orderSchema>;

@Injectable()
export class Orders {
  constructor(
    @InjectDatabase() private readonly db: Database,
    private readonly newOrder: RedisSignal,
  ) {}

  /** @throws ProblemException order_of_another_user */
  async add(userId: string, number: string): Promise<'added' | 'known'> {
    const { rowCount } = await this.db.execute(
      sql`insert into loyalty.orders (number, user_id) values (${number}, ${userId}) on conflict do nothing`,
    );
    if (rowCount === 1) {
      this.newOrder.send();
      return 'added';
    }
    const own = sql`select from loyalty.orders where number = ${number} and user_id = ${userId}`;
    if ((await this.db.execute(own)).rowCount === 1) return 'known';
    throw new ProblemException(PROBLEMS.foreignOrder, 'Check the number. Each order belongs to one user.');
  }

  async newestFirst(userId: string): Promise<Order[]> {
    const { rows } = await this.db.execute<{ item: Order }>(sql`
      select jsonb_strip_nulls(jsonb_build_object('number', number, 'status', status, 'accrual', accrual / 100.0,
        'uploaded_at', ${utc('uploaded_at')})) as item from loyalty.orders where user_id = ${userId} order by uploaded_at desc`);
    return rows.map(({ item }) => item);
  }
}

@Controller('api/user/orders')
@UseGuards(AccessTokenGuard)
@ApiCookieAuth()
@UseFilters(DatabaseDownFilter)
export class OrdersController {
  constructor(private readonly orders: Orders) {}

  @Post()
  @ApiConsumes('text/plain')
  @ApiBody({ schema: { type: 'string', example: '12345678903' } })
  @ApiCall(
    'Upload the number of an order',
    { 202: 'Uploaded', 200: 'You have uploaded it before' },
    ...(['invalid_request', 'unauthenticated', PROBLEMS.foreignOrder, PROBLEMS.wrongNumber, 'unavailable'] as const),
  )
  async upload(
    @Body() body: unknown,
    @CurrentCaller() { accountId }: Caller,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<void> {
    if (typeof body !== 'string' || body.trim() === '') {
      throw new ProblemException('invalid_request', 'Send the order number as text/plain.');
    }
    const outcome = await this.orders.add(accountId, orderNumber(body.trim()));
    reply.status(outcome === 'added' ? 202 : 200);
  }

  @Get()
  @ApiCall('Your orders, newest first', { 200: z.array(orderSchema), 204: 'None' }, 'unauthenticated', 'unavailable')
  async list(@CurrentCaller() { accountId }: Caller, @Res({ passthrough: true }) reply: FastifyReply) {
    return listed(await this.orders.newestFirst(accountId), reply);
  }
}

/** @throws ProblemException wrong_order_number */
export function orderNumber(text: string): string {
  if (isOrderNumber(text)) return text;
  throw new ProblemException(PROBLEMS.wrongNumber, 'Send 2 to 64 digits, the last one by the Luhn algorithm.');
}

/** An empty list is 204. */
export function listed<Item>(items: Item[], reply: FastifyReply): Item[] | undefined {
  if (items.length > 0) return items;
  reply.status(204);
  return undefined;
}
