import { Injectable } from '@nestjs/common';
import { AccessTokenVerifier } from '#access-token';
import type { Credentials } from '#contracts';
import { ProblemException } from '#service';
import { AccountsService } from '../accounts/accounts.service.js';
import { AttemptLimits } from '../attempt-limits.js';
import { type IssuedSession, SessionsService } from './sessions.service.js';

@Injectable()
export class LoginService {
  constructor(
    private readonly limits: AttemptLimits,
    private readonly accounts: AccountsService,
    private readonly sessions: SessionsService,
    private readonly verifier: AccessTokenVerifier,
  ) {}

  /** @throws ProblemException too_many_attempts, invalid_credentials */
  async login(credentials: Credentials, address: string): Promise<IssuedSession> {
    const { email } = credentials;
    const accountId = await this.limits.login({ address, email }, () => this.accounts.authenticate(credentials));
    const session = accountId && (await this.sessions.start(accountId));
    if (session) return session;
    throw new ProblemException('invalid_credentials', 'Check the e-mail address and the password.');
  }

  /** Ends the session of the access token or, if that is not valid, of the refresh token. */
  async logout(tokens: { accessToken: string | undefined; refreshToken: string | undefined }): Promise<void> {
    if (tokens.accessToken !== undefined && (await this.endByAccessToken(tokens.accessToken))) return;
    if (tokens.refreshToken !== undefined) await this.sessions.endByRefreshToken(tokens.refreshToken);
  }

  private async endByAccessToken(accessToken: string): Promise<boolean> {
    const checked = await this.verifier.checkSignature(accessToken);
    return checked.outcome === 'valid' && this.sessions.endByAccessId(checked.caller.sessionId);
  }
}
