import { Controller, Get, HttpCode, Param, Post, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { ApiCall, ProblemException, ValidBody } from '#service';
import { isOrderNumber } from '../order-number.js';
import { pointsSchema } from '../points.js';
import { RegisteredOrders, RequestLimit } from './registered-orders.js';

export const ALREADY_REGISTERED = { code: 'already_registered', status: 409, title: 'Already registered' };

const newGoodSchema = z
  .strictObject({ match: z.string().min(1), reward: z.number().positive(), reward_type: z.enum(['%', 'pt']) })
  .meta({ id: 'NewGood' });
export type NewGood = z.infer<typeof newGoodSchema>;

const numberSchema = z.string().refine(isOrderNumber, 'must be an order number');
const goodSchema = z.strictObject({ description: z.string(), price: pointsSchema });
const newOrderSchema = z
  .strictObject({ order: numberSchema, goods: z.array(goodSchema).min(1) })
  .meta({ id: 'NewOrder' });
export type NewOrder = z.infer<typeof newOrderSchema>;

const statusSchema = z.enum(['REGISTERED', 'PROCESSING', 'INVALID', 'PROCESSED']);
const accruedOrderSchema = z.object({ order: z.string(), status: statusSchema, accrual: z.number().optional() });
export type AccruedOrder = z.infer<typeof accruedOrderSchema>;

@Controller('api')
export class AccrualController {
  constructor(
    private readonly registered: RegisteredOrders,
    private readonly limit: RequestLimit,
  ) {}

  @Post('goods')
  @HttpCode(200)
  @ApiCall('Reward goods by a part of their description', { 200: 'Added' }, 'invalid_request', ALREADY_REGISTERED)
  addGood(@ValidBody(newGoodSchema) good: NewGood): void {
    if (!this.registered.addGood(good)) throw new ProblemException(ALREADY_REGISTERED, 'Choose another match.');
  }

  @Post('orders')
  @HttpCode(202)
  @ApiCall('Register an order', { 202: 'Registered' }, 'invalid_request', ALREADY_REGISTERED)
  register(@ValidBody(newOrderSchema) order: NewOrder): void {
    if (this.registered.register(order, performance.now())) return;
    throw new ProblemException(ALREADY_REGISTERED, 'Register each order once.');
  }

  @Get('orders/:number')
  @ApiCall('The points of an order', { 200: accruedOrderSchema, 204: 'Unknown', 429: 'Text, with Retry-After' })
  find(@Param('number') number: string, @Res({ passthrough: true }) reply: FastifyReply) {
    const waitMs = this.limit.take(performance.now());
    if (waitMs > 0) {
      const { limit, periodMs } = this.limit.options;
      reply
        .status(429)
        .header('retry-after', Math.ceil(waitMs / 1000))
        .type('text/plain; charset=utf-8');
      return `No more than ${limit} requests per ${periodMs === 60_000 ? 'minute' : `${periodMs} ms`} allowed`;
    }
    const order = this.registered.find(number, performance.now());
    if (order === undefined) reply.status(204);
    return order;
  }

  @Get('stats')
  @ApiCall('How many questions about orders were accepted and refused', { 200: 'Counts' })
  stats() {
    return this.limit.stats;
  }
}
