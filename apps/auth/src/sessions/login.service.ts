import { Injectable } from '@nestjs/common';
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
  ) {}

  /** @throws ProblemException too_many_attempts, invalid_credentials */
  async login(credentials: Credentials, address: string): Promise<IssuedSession> {
    const { email } = credentials;
    const accountId = await this.limits.login({ address, email }, () => this.accounts.authenticate(credentials));
    const session = accountId && (await this.sessions.start(accountId));
    if (session) return session;
    throw new ProblemException('invalid_credentials', 'Check the e-mail address and the password.');
  }
}
