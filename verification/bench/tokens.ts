import { generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { AccessTokenSigner, jwkSetOf, publicKeysOf, TOKEN_COOKIE } from '#access-token';
import { listen } from './listen.js';

const NAME = 'octo-bench';

/** Stands in for auth: signs tokens with a key of its own, and serves the public half to gateways. */
export class Tokens {
  private readonly signer: AccessTokenSigner;

  private constructor(
    privateKey: KeyObject,
    private readonly publicKey: KeyObject,
    private readonly server: Server,
    private readonly origin: string,
  ) {
    this.signer = new AccessTokenSigner({ privateKey, issuer: NAME, audience: NAME });
  }

  static async start(): Promise<Tokens> {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const keys = JSON.stringify(jwkSetOf(publicKeysOf([publicKey])));
    const server = createServer((_request, response) => {
      response.setHeader('content-type', 'application/json').end(keys);
    });
    return new Tokens(privateKey, publicKey, server, await listen(server));
  }

  /** Settings of a gateway that takes these tokens. */
  get env(): NodeJS.ProcessEnv {
    return { AUTH_URL: this.origin, JWT_ISSUER: NAME, JWT_AUDIENCE: NAME };
  }

  /** For those who verify by themselves. */
  get publicPem(): string {
    return this.publicKey.export({ type: 'spki', format: 'pem' }).toString();
  }

  /** The cookie of a new account that may use paid providers. It ends after 15 minutes. */
  async cookie(): Promise<string> {
    const claims = { sub: randomUUID(), sid: randomUUID(), paidAccess: true, role: 'user' } as const;
    return `${TOKEN_COOKIE}=${(await this.signer.sign(claims)).token}`;
  }

  stop(): void {
    this.server.close();
    this.server.closeAllConnections();
  }
}
