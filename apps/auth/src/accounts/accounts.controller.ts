import { Controller, Get, Param, Patch, Post, UseFilters, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiCookieAuth, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { AccessTokenGuard, type Caller, CurrentCaller, Roles } from '#access-token';
import {
  type Account,
  type AccountList,
  accountListSchema,
  type AccountPatch,
  accountPatchSchema,
  accountSchema,
  type ManagedAccount,
  managedAccountSchema,
  type Registration,
  registrationSchema,
} from '#contracts';
import { DatabaseDownFilter } from '#database';
import { inPasswordQueue } from '#passwords';
import { ApiProblems, ProblemException, ValidBody, ValidQuery } from '#service';
import { AttemptLimits } from '../attempt-limits.js';
import { type AuthSettings, InjectSettings } from '../auth.settings.js';
import { type Client, RequestClient } from '../client.js';
import { type AccountPage, accountPageSchema } from './account-page.js';
import { AccountsService } from './accounts.service.js';
import { refuseBreachedPassword } from './breached-passwords.js';
import { REAUTHENTICATED_CHANGE, Reauthentication } from './reauthentication.service.js';

@ApiTags('accounts')
@Controller('auth')
@UseFilters(DatabaseDownFilter)
export class AccountsController {
  constructor(
    private readonly accounts: AccountsService,
    private readonly limits: AttemptLimits,
    private readonly reauthentication: Reauthentication,
    @InjectSettings() private readonly settings: AuthSettings,
  ) {}

  @Post('register')
  @ApiOperation({ summary: 'Create an account without paid access' })
  @ApiResponse({ status: 201, standardSchema: accountSchema })
  @ApiProblems('invalid_request', 'forbidden', 'email_taken', 'too_many_requests', 'unavailable')
  async register(
    @ValidBody(registrationSchema) registration: Registration,
    @RequestClient() client: Client,
  ): Promise<Account> {
    if (this.settings.REGISTRATION === 'closed') {
      throw new ProblemException('forbidden', 'Registration is closed. Ask an operator for an account.');
    }
    refuseBreachedPassword(registration.password, 'password');
    return inPasswordQueue(client.gone, async (place) => {
      await this.limits.registration(client.address);
      return this.accounts.register(registration, { place, actor: { client } });
    });
  }

  @Get('users')
  @UseGuards(AccessTokenGuard)
  @Roles('admin')
  @ApiCookieAuth()
  @ApiBearerAuth()
  @ApiOperation({ summary: 'All accounts, oldest first; admin only' })
  @ApiResponse({ status: 200, standardSchema: accountListSchema })
  @ApiProblems('invalid_request', 'unauthenticated', 'forbidden', 'unavailable')
  list(@ValidQuery(accountPageSchema) page: AccountPage): Promise<AccountList> {
    return this.accounts.list(page);
  }

  @Patch('users/:id')
  @UseGuards(AccessTokenGuard)
  @Roles('admin')
  @ApiCookieAuth()
  @ApiBearerAuth()
  @ApiOperation({ summary: 'Change the rights of an account; its tokens are revoked at once; admin only' })
  @ApiResponse({ status: 200, standardSchema: managedAccountSchema })
  @ApiProblems(...REAUTHENTICATED_CHANGE, 'not_found')
  async update(
    @Param('id') id: string,
    @ValidBody(accountPatchSchema) { currentPassword, ...patch }: AccountPatch,
    @CurrentCaller() caller: Caller,
    @RequestClient() client: Client,
  ): Promise<ManagedAccount> {
    requireAccountId(id);
    await this.reauthentication.requireRecent(caller, { currentPassword, client });
    return this.accounts.update(id, patch, { accountId: caller.accountId, client });
  }
}

/** @throws ProblemException not_found */
export function requireAccountId(id: string): void {
  if (!z.uuid().safeParse(id).success) throw new ProblemException('not_found', 'No account has this id.');
}
