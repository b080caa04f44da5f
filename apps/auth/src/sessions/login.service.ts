import { Injectable } from '@nestjs/common';
import type { Credentials } from '#contracts';
import { inPasswordQueue } from '#passwords';
import { ProblemException } from '#service';
import { AccountsService } from '../accounts/accounts.service.js';
import { AttemptLimits } from '../attempt-limits.js';
import type { Client } from '../client.js';
import { SecurityLog } from '../security-log/security-log.service.js';
import { KnownDevices } from './known-devices.js';
import { type IssuedSession, SessionsService } from './sessions.service.js';

export interface LoggedIn {
  session: IssuedSession;
  /** New value of `octo_device`. */
  deviceCookie: string;
}

@Injectable()
export class LoginService {
  constructor(
    private readonly limits: AttemptLimits,
    private readonly accounts: AccountsService,
    private readonly sessions: SessionsService,
    private readonly devices: KnownDevices,
    private readonly log: SecurityLog,
  ) {}

  /**
   * @param deviceCookie the value of `octo_device`
   * @throws ProblemException too_many_attempts, invalid_credentials, unavailable
   */
  login(credentials: Credentials, client: Client, deviceCookie: string | undefined): Promise<LoggedIn> {
    return inPasswordQueue(client.gone, async (place) => {
      const { email } = credentials;
      const deviceId = deviceCookie && (await this.knownDevice(email, deviceCookie));
      const refused = (event: 'login' | 'login_locked') =>
        this.log.record({ event, result: 'refused', actor: { client }, email });
      const account = await this.limits.login(
        { address: client.address, email, deviceId, onLocked: () => refused('login_locked') },
        () => this.accounts.authenticate(credentials, place),
      );
      const session = account && (await this.sessions.start(account, client.userAgent));
      if (!session) {
        await refused('login');
        throw new ProblemException('invalid_credentials', 'Check the e-mail address and the password.');
      }
      await this.log.record({ event: 'login', actor: { client }, accountId: account.id, email });
      return { session, deviceCookie: this.devices.remember(account, deviceId) };
    });
  }

  private async knownDevice(email: string, cookie: string): Promise<string | undefined> {
    const account = await this.accounts.findByEmail(email);
    return account && this.devices.idOf(cookie, account);
  }
}
