import { Injectable } from '@nestjs/common';
import { AccessTokenVerifier } from '#access-token';
import type { Client } from '../client.js';
import { SessionsService } from './sessions.service.js';

interface Tokens {
  accessToken: string | undefined;
  refreshToken: string | undefined;
}

@Injectable()
export class LogoutService {
  constructor(
    private readonly sessions: SessionsService,
    private readonly verifier: AccessTokenVerifier,
  ) {}

  /** Ends the session of the access token or, if that is not valid, of the refresh token. */
  async logout({ accessToken, refreshToken }: Tokens, client: Client): Promise<void> {
    if (accessToken !== undefined && (await this.endByAccessToken(accessToken, client))) return;
    if (refreshToken !== undefined) await this.sessions.logOutByRefreshToken(refreshToken, client);
  }

  private async endByAccessToken(accessToken: string, client: Client): Promise<boolean> {
    const checked = await this.verifier.checkSignature(accessToken);
    return checked.outcome === 'valid' && this.sessions.logOut(checked.caller.sessionId, client);
  }
}
