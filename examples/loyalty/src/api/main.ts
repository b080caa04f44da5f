import { z } from 'zod';
import { AccessTokenModule, isSecureOrigin, signingKeySettings } from '#access-token';
import { commonSettings, port, postgresUrl, publicOrigin, redisUrl, runApp } from '#service';
import { newOrderSignal, openTables } from '../shared.js';
import { IS_SECURE, LoyaltyController } from './loyalty.controller.js';
import { LoyaltyService } from './loyalty.service.js';
import { PROBLEMS } from './schemas.js';

class ApiModule {}

await runApp({
  name: 'loyalty',
  settings: z.object({
    ...commonSettings,
    ...signingKeySettings,
    PORT: port(5100),
    DATABASE_URL: postgresUrl(),
    REDIS_URL: redisUrl(),
    /** Decides whether the cookie is `Secure`, and which pages may send it. */
    PUBLIC_ORIGIN: publicOrigin('http://localhost:5100'),
  }),
  module: (settings) => ({
    module: ApiModule,
    imports: [openTables(settings.DATABASE_URL), AccessTokenModule.selfIssuing(settings, 'loyalty')],
    controllers: [LoyaltyController],
    providers: [
      LoyaltyService,
      newOrderSignal(settings.REDIS_URL),
      { provide: IS_SECURE, useValue: isSecureOrigin(settings.PUBLIC_ORIGIN) },
    ],
  }),
  http: ({ PUBLIC_ORIGIN }) => ({ publicOrigin: PUBLIC_ORIGIN, acceptsText: true }),
  docs: { title: 'Loyalty', description: 'Points for orders.', problems: Object.values(PROBLEMS) },
});
