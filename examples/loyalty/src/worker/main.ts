import { z } from 'zod';
import { DATABASE, type Database } from '#database';
import { LimitedClient, limitedClientSettings, LimitedWork } from '#limited-client';
import { commonSettings, port, postgresUrl, Readiness, RedisSignal, runApp } from '#service';
import { accrualLimitSettings, newOrderSignal, openTables } from '../shared.js';
import { checkSettings, OrderChecks } from './order-checks.js';

class WorkerModule {}

await runApp({
  name: 'worker',
  settings: z.object({
    ...commonSettings,
    ...limitedClientSettings,
    ...accrualLimitSettings,
    ...checkSettings,
    /** For health and metrics. */
    PORT: port(5102),
    DATABASE_URL: postgresUrl(),
  }),
  module: (settings) => {
    const { ACCRUAL_LIMIT: limit, ACCRUAL_PERIOD_MS: windowMs, ACCRUAL_TIMEOUT_MS: timeoutMs } = settings;
    // However the service counts its minutes, a sliding window fits: no minute holds more than the limit.
    const policy = { policy: 'sliding-window' as const, limit, windowMs };
    const newClient = (readiness: Readiness) =>
      new LimitedClient({ name: 'accrual', policy, timeoutMs, settings }, readiness);
    const newWork = (db: Database, client: LimitedClient, newOrder: RedisSignal) => {
      const work = new LimitedWork(client, new OrderChecks(db, client, settings));
      newOrder.listen(() => work.wake());
      return work;
    };
    return {
      module: WorkerModule,
      imports: [openTables(settings.DATABASE_URL)],
      providers: [
        newOrderSignal(settings.REDIS_URL),
        { provide: LimitedClient, inject: [Readiness], useFactory: newClient },
        { provide: LimitedWork, inject: [DATABASE, LimitedClient, RedisSignal], useFactory: newWork },
      ],
    };
  },
});
