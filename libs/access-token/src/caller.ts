import { createParamDecorator, type CustomDecorator, type ExecutionContext, SetMetadata } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import type { Role } from '#contracts';
import type { Caller } from './claims.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by AccessTokenGuard. */
    caller?: Caller;
  }
}

export const ROLES = 'octo:roles';

/** Only accounts with one of these roles; needs `AccessTokenGuard`. */
export const Roles = (...roles: Role[]): CustomDecorator => SetMetadata(ROLES, roles);

/** Parameter decorator: who is asking; needs `AccessTokenGuard`. */
export const CurrentCaller = createParamDecorator((_: undefined, context: ExecutionContext): Caller => {
  const { caller } = context.switchToHttp().getRequest<FastifyRequest>();
  if (caller === undefined) throw new Error('CurrentCaller is used on a route without AccessTokenGuard');
  return caller;
});
