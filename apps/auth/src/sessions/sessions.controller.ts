import { Controller, Get, HttpCode, Post, Req, Res, UseFilters, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiCookieAuth, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import {
  AccessTokenGuard,
  type Caller,
  CurrentCaller,
  readAccessToken,
  readCookie,
  REFRESH_COOKIE,
} from '#access-token';
import {
  type Credentials,
  credentialsSchema,
  type CurrentAccount,
  currentAccountSchema,
  type Login,
  loginSchema,
} from '#contracts';
import { DatabaseDownFilter } from '#database';
import { ApiProblems, ProblemException, ValidBody } from '#service';
import { AccountsService } from '../accounts/accounts.service.js';
import { type Client, RequestClient } from '../client.js';
import { LoginService } from './login.service.js';
import { LogoutService } from './logout.service.js';
import { DEVICE_COOKIE, SessionCookies } from './session-cookies.js';
import { type IssuedSession, SessionsService } from './sessions.service.js';

@ApiTags('accounts')
@Controller('auth')
@UseFilters(DatabaseDownFilter)
export class SessionsController {
  constructor(
    private readonly logins: LoginService,
    private readonly logouts: LogoutService,
    private readonly sessions: SessionsService,
    private readonly accounts: AccountsService,
    private readonly cookies: SessionCookies,
  ) {}

  @Post('login')
  @HttpCode(200)
  @ApiOperation({ summary: 'Log in: sets the cookies octo_token and octo_refresh' })
  @ApiResponse({ status: 200, standardSchema: loginSchema })
  @ApiProblems('invalid_request', 'invalid_credentials', 'totp_required', 'too_many_attempts', 'unavailable')
  async login(
    @ValidBody(credentialsSchema) credentials: Credentials,
    @RequestClient() client: Client,
    @Req() { headers }: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Login> {
    const device = readCookie(headers.cookie, DEVICE_COOKIE);
    const { session, deviceCookie } = await this.logins.login(credentials, client, device);
    return this.answer(reply, session, deviceCookie);
  }

  @Post('refresh')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Rotate both cookies',
    description:
      'The octo_refresh cookie is valid for one use. A repeat within 10 s gets the same octo_refresh cookie again; a later one revokes the session.',
    security: [{ refresh: [] }],
  })
  @ApiResponse({ status: 200, standardSchema: loginSchema })
  @ApiProblems('unauthenticated', 'unavailable')
  async refresh(
    @RequestClient() client: Client,
    @Req() { headers }: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Login> {
    const refreshToken = readCookie(headers.cookie, REFRESH_COOKIE);
    const session = refreshToken && (await this.sessions.refresh(refreshToken, client));
    if (session) return this.answer(reply, session);
    this.cookies.clear(reply);
    throw new ProblemException('unauthenticated', 'The refresh token is missing, expired or revoked. Log in again.');
  }

  @Post('logout')
  @HttpCode(204)
  @ApiOperation({
    summary: 'End the session; every pod refuses its access token from now on',
    security: [{ cookie: [] }, { bearer: [] }, { refresh: [] }, {}],
  })
  @ApiResponse({ status: 204, description: 'Logged out, or was not logged in' })
  @ApiProblems('unavailable')
  async logout(
    @RequestClient() client: Client,
    @Req() { headers }: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<void> {
    this.cookies.clear(reply);
    const refreshToken = readCookie(headers.cookie, REFRESH_COOKIE);
    await this.logouts.logout({ accessToken: readAccessToken(headers), refreshToken }, client);
  }

  @Get('me')
  @UseGuards(AccessTokenGuard)
  @ApiCookieAuth()
  @ApiBearerAuth()
  @ApiOperation({ summary: 'The account of the access token or API key' })
  @ApiResponse({ status: 200, standardSchema: currentAccountSchema })
  @ApiProblems('unauthenticated', 'unavailable')
  async me(@CurrentCaller() caller: Caller): Promise<CurrentAccount> {
    const account = await this.accounts.find(caller.accountId);
    if (account) return { ...account, expiresAt: caller.expiresAt?.toISOString() ?? null };
    throw new ProblemException('unauthenticated', 'The account was deleted or disabled.');
  }

  private answer(reply: FastifyReply, session: IssuedSession, deviceCookie?: string): Login {
    this.cookies.set(reply, session, deviceCookie);
    return session.login;
  }
}
