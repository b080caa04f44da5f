import { Controller, HttpCode, Param, Post, UseFilters, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiCookieAuth, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { AccessTokenGuard, type Caller, CurrentCaller, Roles } from '#access-token';
import {
  type PasswordChange,
  passwordChangeSchema,
  type PasswordReset,
  passwordResetSchema,
  type Reauthentication as ReauthenticationBody,
  reauthenticationSchema,
  type ResetToken,
  resetTokenSchema,
} from '#contracts';
import { DatabaseDownFilter } from '#database';
import { ApiProblems, ValidBody } from '#service';
import { AttemptLimits } from '../attempt-limits.js';
import { type Client, RequestClient, SessionCaller } from '../client.js';
import { requireAccountId } from './accounts.controller.js';
import { PasswordService } from './password.service.js';
import { REAUTHENTICATED_CHANGE, Reauthentication } from './reauthentication.service.js';

@ApiTags('accounts')
@Controller('auth')
@UseFilters(DatabaseDownFilter)
export class PasswordController {
  constructor(
    private readonly passwords: PasswordService,
    private readonly reauthentication: Reauthentication,
    private readonly limits: AttemptLimits,
  ) {}

  @Post('password')
  @HttpCode(204)
  @UseGuards(AccessTokenGuard)
  @ApiCookieAuth()
  @ApiBearerAuth()
  @ApiOperation({ summary: 'Change your password; ends your other sessions' })
  @ApiResponse({ status: 204, description: 'Changed' })
  @ApiProblems(
    'invalid_request',
    'unauthenticated',
    'invalid_credentials',
    'forbidden',
    'too_many_attempts',
    'unavailable',
  )
  change(
    @ValidBody(passwordChangeSchema) change: PasswordChange,
    @SessionCaller() caller: Caller,
    @RequestClient() client: Client,
  ): Promise<void> {
    return this.passwords.change(caller, change, client);
  }

  @Post('password/reset')
  @HttpCode(204)
  @ApiOperation({ summary: 'Set a new password with a token from an admin; ends all sessions of the account' })
  @ApiResponse({ status: 204, description: 'Set' })
  @ApiProblems('invalid_request', 'invalid_reset_token', 'too_many_attempts', 'unavailable')
  reset(@ValidBody(passwordResetSchema) reset: PasswordReset, @RequestClient() client: Client): Promise<void> {
    return this.limits.passwordReset(client.address, () => this.passwords.reset(reset, client));
  }

  @Post('users/:id/reset-token')
  @UseGuards(AccessTokenGuard)
  @Roles('admin')
  @ApiCookieAuth()
  @ApiBearerAuth()
  @ApiOperation({ summary: 'Create a token with which an account can set a new password once, for 1 h; admin only' })
  @ApiResponse({ status: 201, standardSchema: resetTokenSchema })
  @ApiProblems(...REAUTHENTICATED_CHANGE, 'not_found')
  async createResetToken(
    @Param('id') id: string,
    @ValidBody(reauthenticationSchema) body: ReauthenticationBody,
    @CurrentCaller() caller: Caller,
    @RequestClient() client: Client,
  ): Promise<ResetToken> {
    requireAccountId(id);
    await this.reauthentication.requireRecent(caller, { currentPassword: body?.currentPassword, client });
    return this.passwords.createResetToken(id, { accountId: caller.accountId, client });
  }
}
