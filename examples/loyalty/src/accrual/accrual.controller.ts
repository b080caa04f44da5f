import { Controller, Get, HttpCode, Inject, Param, Post, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { ApiCall, ProblemException, ValidBody } from '#service';
import { isOrderNumber, pointsOf, pointsSchema } from '../values.js';
import { RequestLimit } from './request-limit.js';

export const ALREADY_REGISTERED = { code: 'already_registered', status: 409, title: 'Already registered' };
export const PROCESSING_MS = Symbol('from the registration of an order to its final status');

const newGoodSchema = z
  .strictObject({ match: z.string().min(1), reward: z.number().positive(), reward_type: z.enum(['%', 'pt']) })
  .meta({ id: 'NewGood' });
type NewGood = z.infer<typeof newGoodSchema>;

const numberSchema = z.string().refine(isOrderNumber, 'must be an order number');
const goodSchema = z.strictObject({ description: z.string(), price: pointsSchema });
const newOrderSchema = z
  .strictObject({ order: numberSchema, goods: z.array(goodSchema).min(1) })
  .meta({ id: 'NewOrder' });
type NewOrder = z.infer<typeof newOrderSchema>;

const statusSchema = z.enum(['REGISTERED', 'PROCESSING', 'INVALID', 'PROCESSED']);
const accruedSchema = z.object({ order: z.string(), status: statusSchema, accrual: z.number().optional() });

/** Stands in for another company's service, and keeps everything in memory. */
@Controller('api')
export class AccrualController {
  private readonly goods = new Map<string, NewGood>();
  private readonly orders = new Map<string, { atMs: number; rewards: number[] }>();

  constructor(
    private readonly limit: RequestLimit,
    @Inject(PROCESSING_MS) private readonly processingMs: number,
  ) {}

  @Post('goods')
  @HttpCode(200)
  @ApiCall('Reward goods by a part of their description', { 200: 'Added' }, 'invalid_request', ALREADY_REGISTERED)
  addGood(@ValidBody(newGoodSchema) good: NewGood): void {
    if (this.goods.has(good.match)) throw new ProblemException(ALREADY_REGISTERED, 'Choose another match.');
    this.goods.set(good.match, good);
  }

  @Post('orders')
  @HttpCode(202)
  @ApiCall('Register an order', { 202: 'Registered' }, 'invalid_request', ALREADY_REGISTERED)
  register(@ValidBody(newOrderSchema) { order, goods }: NewOrder): void {
    if (this.orders.has(order)) throw new ProblemException(ALREADY_REGISTERED, 'Register each order once.');
    this.orders.set(order, { atMs: performance.now(), rewards: goods.flatMap((good) => this.rewardOf(good)) });
  }

  @Get('orders/:number')
  @ApiCall('The points of an order', { 200: accruedSchema, 204: 'Unknown', 429: 'Text, with Retry-After' })
  find(@Param('number') number: string, @Res({ passthrough: true }) reply: FastifyReply) {
    const { limit, periodMs } = this.limit.options;
    const waitMs = this.limit.take(performance.now());
    if (waitMs === 0) return this.accrued(number) ?? void reply.status(204);
    reply
      .status(429)
      .header('retry-after', Math.ceil(waitMs / 1000))
      .type('text/plain; charset=utf-8');
    return `No more than ${limit} requests per ${periodMs === 60_000 ? 'minute' : `${periodMs} ms`} allowed`;
  }

  @Get('stats')
  @ApiCall('How many questions about orders were accepted and refused', { 200: 'Counts' })
  stats() {
    return this.limit.stats;
  }

  private accrued(order: string): z.infer<typeof accruedSchema> | undefined {
    const { atMs, rewards } = this.orders.get(order) ?? {};
    if (atMs === undefined || rewards === undefined) return undefined;
    const leftMs = atMs + this.processingMs - performance.now();
    if (leftMs > 0) return { order, status: leftMs > this.processingMs / 2 ? 'REGISTERED' : 'PROCESSING' };
    if (rewards.length === 0) return { order, status: 'INVALID' };
    return { order, status: 'PROCESSED', accrual: pointsOf(rewards.reduce((sum, reward) => sum + reward)) };
  }

  /** In hundredths, by the first match; empty without one. */
  private rewardOf({ description, price }: z.infer<typeof goodSchema>): number[] {
    const good = [...this.goods.values()].find(({ match }) => description.includes(match));
    if (good === undefined) return [];
    return [Math.round(good.reward_type === '%' ? (price * good.reward) / 100 : good.reward * 100)];
  }
}
