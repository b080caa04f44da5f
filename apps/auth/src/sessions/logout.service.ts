import { Injectable } from '@nestjs/common';
import { AccessTokenVerifier } from '#access-token';
import { SessionsService } from './sessions.service.js';

@Injectable()
export class LogoutService {
  constructor(
    private readonly sessions: SessionsService,
    private readonly verifier: AccessTokenVerifier,
  ) {}

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
