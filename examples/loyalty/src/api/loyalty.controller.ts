import { randomUUID } from 'node:crypto';
import { applyDecorators, Controller, Get, HttpCode, Inject, Post, Res, UseFilters, UseGuards } from '@nestjs/common';
import { ApiConsumes, ApiCookieAuth } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { accessTokenCookie, AccessTokenGuard, AccessTokenSigner, type Caller, CurrentCaller } from '#access-token';
import { DatabaseDownFilter } from '#database';
import { ApiCall, ProblemException, ValidBody } from '#service';
import { isOrderNumber } from '../values.js';
import { LoyaltyService } from './loyalty.service.js';
import * as wire from './schemas.js';

export const IS_SECURE = Symbol('whether cookies are Secure');

const textSchema = z.string('must be text/plain').trim().min(1, 'must not be empty').meta({ example: '12345678903' });

/** A route for users who are logged in. */
const UserCall = (...[summary, answers, ...problems]: Parameters<typeof ApiCall>) =>
  applyDecorators(
    UseGuards(AccessTokenGuard),
    ApiCookieAuth(),
    ApiCall(summary, answers, ...problems, 'unauthenticated'),
  );

@Controller('api/user')
@UseFilters(DatabaseDownFilter)
export class LoyaltyController {
  constructor(
    private readonly loyalty: LoyaltyService,
    private readonly signer: AccessTokenSigner,
    @Inject(IS_SECURE) private readonly secure: boolean,
  ) {}

  @Post('register')
  @HttpCode(200)
  @ApiCall('Register and log in: sets a cookie', { 200: 'Logged in' }, 'invalid_request', wire.PROBLEMS.loginTaken)
  async register(
    @ValidBody(wire.credentialsSchema) credentials: wire.Credentials,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    await this.setCookie(reply, await this.loyalty.register(credentials));
  }

  @Post('login')
  @HttpCode(200)
  @ApiCall('Log in: sets a cookie', { 200: 'Logged in' }, 'invalid_request', wire.PROBLEMS.wrongLogin)
  async logIn(
    @ValidBody(wire.credentialsSchema) credentials: wire.Credentials,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    await this.setCookie(reply, await this.loyalty.authenticate(credentials));
  }

  @Post('orders')
  @ApiConsumes('text/plain')
  @UserCall(
    'Upload an order',
    { 202: 'New', 200: 'Known' },
    'invalid_request',
    wire.PROBLEMS.othersOrder,
    wire.PROBLEMS.wrongNumber,
  )
  async upload(
    @ValidBody(textSchema) text: string,
    @CurrentCaller() { accountId }: Caller,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<void> {
    const outcome = await this.loyalty.addOrder(accountId, orderNumber(text));
    reply.status(outcome === 'added' ? 202 : 200);
  }

  @Get('orders')
  @UserCall('Your orders, newest first', { 200: z.array(wire.orderSchema), 204: 'None' })
  async orders(@CurrentCaller() { accountId }: Caller, @Res({ passthrough: true }) reply: FastifyReply) {
    return listed(await this.loyalty.orders(accountId), reply);
  }

  @Get('balance')
  @UserCall('Your points', { 200: wire.balanceSchema })
  balance(@CurrentCaller() { accountId }: Caller) {
    return this.loyalty.balance(accountId);
  }

  @Post('balance/withdraw')
  @HttpCode(200)
  @UserCall(
    'Pay with points',
    { 200: 'Paid' },
    'invalid_request',
    wire.PROBLEMS.tooFewPoints,
    wire.PROBLEMS.wrongNumber,
  )
  async withdraw(
    @ValidBody(wire.newWithdrawalSchema) { order, sum }: z.infer<typeof wire.newWithdrawalSchema>,
    @CurrentCaller() { accountId }: Caller,
  ): Promise<void> {
    await this.loyalty.withdraw(accountId, { order: orderNumber(order), sum });
  }

  @Get('withdrawals')
  @UserCall('Your withdrawals, newest first', { 200: z.array(wire.withdrawalSchema), 204: 'None' })
  async withdrawals(@CurrentCaller() { accountId }: Caller, @Res({ passthrough: true }) reply: FastifyReply) {
    return listed(await this.loyalty.withdrawals(accountId), reply);
  }

  private async setCookie(reply: FastifyReply, userId: string): Promise<void> {
    const claims = { sub: userId, sid: randomUUID(), paidAccess: false, role: 'user' as const };
    const { token } = await this.signer.sign(claims);
    reply.header('set-cookie', accessTokenCookie(token, { secure: this.secure }));
  }
}

/** @throws ProblemException wrong_order_number */
function orderNumber(text: string): string {
  if (isOrderNumber(text)) return text;
  throw new ProblemException(wire.PROBLEMS.wrongNumber, 'Send 2 to 64 digits, the last one by the Luhn algorithm.');
}

/** An empty list is 204. */
function listed<Item>(items: Item[], reply: FastifyReply): Item[] | undefined {
  if (items.length > 0) return items;
  reply.status(204);
  return undefined;
}
