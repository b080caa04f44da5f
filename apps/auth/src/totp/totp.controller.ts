import { Controller, HttpCode, Post, UseFilters, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiCookieAuth, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { AccessTokenGuard, type Caller } from '#access-token';
import {
  type PasswordConfirmation,
  passwordConfirmationSchema,
  type TotpConfirmation,
  totpConfirmationSchema,
  type TotpSetup,
  totpSetupSchema,
} from '#contracts';
import { DatabaseDownFilter } from '#database';
import { ApiProblems, ValidBody } from '#service';
import { type Client, RequestClient, SessionCaller } from '../client.js';
import { TotpService } from './totp.service.js';

@ApiTags('accounts')
@ApiCookieAuth()
@ApiBearerAuth()
@UseGuards(AccessTokenGuard)
@UseFilters(DatabaseDownFilter)
@Controller('auth/totp')
export class TotpController {
  constructor(private readonly totp: TotpService) {}

  @Post()
  @ApiOperation({
    summary: 'Set up one-time codes (RFC 6238)',
    description: 'Logins need a code as soon as `POST /auth/totp/confirm` has accepted one.',
  })
  @ApiResponse({ status: 201, standardSchema: totpSetupSchema })
  @ApiProblems(
    'invalid_request',
    'unauthenticated',
    'invalid_credentials',
    'forbidden',
    'too_many_attempts',
    'unavailable',
  )
  setUp(
    @ValidBody(passwordConfirmationSchema) { currentPassword }: PasswordConfirmation,
    @SessionCaller() caller: Caller,
    @RequestClient() client: Client,
  ): Promise<TotpSetup> {
    return this.totp.setUp(caller, currentPassword, client);
  }

  @Post('confirm')
  @HttpCode(204)
  @ApiOperation({ summary: 'Confirm the secret with a code: from now on logins need one' })
  @ApiResponse({ status: 204, description: 'Confirmed' })
  @ApiProblems('invalid_request', 'unauthenticated', 'forbidden', 'too_many_attempts', 'unavailable')
  confirm(
    @ValidBody(totpConfirmationSchema) { code }: TotpConfirmation,
    @SessionCaller() caller: Caller,
    @RequestClient() client: Client,
  ): Promise<void> {
    return this.totp.confirm(caller, code, client);
  }

  @Post('disable')
  @HttpCode(204)
  @ApiOperation({ summary: 'Remove the secret: logins need the password only' })
  @ApiResponse({ status: 204, description: 'Removed, or there was none' })
  @ApiProblems(
    'invalid_request',
    'unauthenticated',
    'invalid_credentials',
    'forbidden',
    'too_many_attempts',
    'unavailable',
  )
  disable(
    @ValidBody(passwordConfirmationSchema) { currentPassword }: PasswordConfirmation,
    @SessionCaller() caller: Caller,
    @RequestClient() client: Client,
  ): Promise<void> {
    return this.totp.disable(caller, currentPassword, client);
  }
}
