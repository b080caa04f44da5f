import { type DynamicModule, Module } from '@nestjs/common';
import { z } from 'zod';
import {
  AccessTokenModule,
  AccessTokenSigner,
  isSecureOrigin,
  loadSigningKeys,
  signingKeySettings,
} from '#access-token';
import { commonSettings, port, postgresUrl, publicOrigin, redisUrl } from '#service';
import { newOrderSignal, openTables } from '../shared.js';
import { BalanceController, Balances } from './balance.js';
import { Orders, OrdersController } from './orders.js';
import { IS_SECURE, Users, UsersController } from './users.js';

export const apiSettings = z.object({
  ...commonSettings,
  ...signingKeySettings,
  PORT: port(5100),
  DATABASE_URL: postgresUrl(),
  REDIS_URL: redisUrl(),
  /** Decides whether the cookie is `Secure`, and which pages may send it. */
  PUBLIC_ORIGIN: publicOrigin('http://localhost:5100'),
});

const ISSUED = { issuer: 'loyalty', audience: 'loyalty' };

@Module({ controllers: [UsersController, OrdersController, BalanceController], providers: [Users, Orders, Balances] })
export class ApiModule {
  static with(settings: z.infer<typeof apiSettings>): DynamicModule {
    const { privateKey, publicKeys } = loadSigningKeys(settings);
    const accessTokens = AccessTokenModule.verifyingSignatures({ ...ISSUED, keys: publicKeys });
    return {
      module: ApiModule,
      imports: [openTables(settings.DATABASE_URL), accessTokens],
      providers: [
        newOrderSignal(settings.REDIS_URL),
        { provide: AccessTokenSigner, useFactory: () => new AccessTokenSigner({ privateKey, ...ISSUED }) },
        { provide: IS_SECURE, useValue: isSecureOrigin(settings.PUBLIC_ORIGIN) },
      ],
    };
  }
}
