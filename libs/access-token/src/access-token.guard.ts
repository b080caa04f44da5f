import {
  type CanActivate,
  createParamDecorator,
  type CustomDecorator,
  type ExecutionContext,
  Injectable,
  SetMetadata,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Role } from '#contracts';
import { ProblemException } from '#service';
import { AccessTokenVerifier, type Verification } from './access-token.verifier.js';
import type { Caller } from './claims.js';
import { readAccessToken } from './read-token.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by AccessTokenGuard. */
    caller?: Caller;
    /** The revision of revocations in which the caller was verified. */
    callerRevision?: number;
  }
}

const ROLES = 'octo:roles';

/** Accepts only accounts with one of these roles; needs `AccessTokenGuard`. */
export const Roles = (...roles: Role[]): CustomDecorator => SetMetadata(ROLES, roles);

/** Parameter decorator: the caller of the request; needs `AccessTokenGuard`. */
export const CurrentCaller = createParamDecorator((_: undefined, context: ExecutionContext): Caller => {
  const { caller } = context.switchToHttp().getRequest<FastifyRequest>();
  if (caller === undefined) throw new Error('CurrentCaller needs AccessTokenGuard on its route');
  return caller;
});

/** When to retry while keys or revocations cannot be read. */
const RETRY_AFTER_MS = 1_000;

/** Accepts requests with a valid access token or API key and sets their `caller`. For a controller or a whole app. */
@Injectable()
export class AccessTokenGuard implements CanActivate {
  constructor(
    private readonly verifier: AccessTokenVerifier,
    private readonly reflector: Reflector,
  ) {}

  canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const http = context.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const { caller: known, callerRevision = -1 } = request;
    if (known !== undefined && this.verifier.stillHolds(known, callerRevision)) return this.hasRole(context, known);
    const caller = this.authenticate(request, http.getResponse<FastifyReply>());
    if (!(caller instanceof Promise)) return this.hasRole(context, caller);
    return caller.then((verified) => this.hasRole(context, verified));
  }

  /**
   * Sets the `caller` of a request; for a hook that runs before the body is read.
   * @throws ProblemException unless the request has a valid token
   */
  authenticate(request: FastifyRequest, reply: FastifyReply): Caller | Promise<Caller> {
    request.callerRevision = this.verifier.revision;
    const token = readAccessToken(request.headers);
    const verification = token === undefined ? undefined : this.verifier.verify(token);
    if (!(verification instanceof Promise)) return accept(verification, request, reply);
    return verification.then((verified) => accept(verified, request, reply));
  }

  private hasRole(context: ExecutionContext, caller: Caller): boolean {
    const roles = this.reflector.getAllAndOverride<Role[] | undefined>(ROLES, [
      context.getHandler(),
      context.getClass(),
    ]);
    if (roles !== undefined && !roles.includes(caller.role)) {
      throw new ProblemException('forbidden', `Use an account with the role ${roles.join(' or ')}.`);
    }
    return true;
  }
}

function accept(verification: Verification | undefined, request: FastifyRequest, reply: FastifyReply): Caller {
  if (verification?.outcome !== 'valid') throw refusal(verification, reply);
  request.caller = verification.caller;
  return verification.caller;
}

const DETAILS = {
  invalid: 'The access token or API key is not valid. Log in again, or use another key.',
  expired: 'The access token or API key has expired. Refresh the token, log in again, or use another key.',
  revoked: 'The access token or API key was revoked. Refresh the token, log in again, or use another key.',
};

/** With the challenge of RFC 6750, section 3. */
function refusal(
  verification: Exclude<Verification, { outcome: 'valid' }> | undefined,
  reply: FastifyReply,
): ProblemException {
  if (verification?.outcome === 'undecided') {
    return new ProblemException(
      'unavailable',
      'The access token or API key cannot be checked at the moment. Try again.',
      {
        retryAfterMs: RETRY_AFTER_MS,
      },
    );
  }
  reply.header('www-authenticate', verification === undefined ? 'Bearer' : 'Bearer error="invalid_token"');
  const detail =
    verification === undefined
      ? 'Log in, or send an access token or an API key as Authorization: Bearer.'
      : DETAILS[verification.reason];
  return new ProblemException('unauthenticated', detail);
}
