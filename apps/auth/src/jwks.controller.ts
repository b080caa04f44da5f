import { Controller, Get, Header, Inject } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { jwkSetOf, type PublicKeys } from '#access-token';

export const PUBLIC_KEYS = Symbol('public keys');

@ApiTags('accounts')
@Controller('.well-known')
export class JwksController {
  private readonly jwkSet: object;

  constructor(@Inject(PUBLIC_KEYS) keys: PublicKeys) {
    this.jwkSet = jwkSetOf(keys);
  }

  @Get('jwks.json')
  @Header('cache-control', 'public, max-age=60')
  @ApiOperation({ summary: 'The public keys access tokens are verified with (RFC 7517)' })
  keys(): object {
    return this.jwkSet;
  }
}
