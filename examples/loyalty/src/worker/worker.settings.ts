import { z } from 'zod';
import { limitedClientSettings } from '#limited-client';
import { commonSettings, httpUrl, port, postgresUrl, wholeNumber } from '#service';
import { accrualLimitSettings } from '../shared.js';

const durationMs = wholeNumber({ min: 10, max: 86_400_000 });

export const workerSettings = z.object({
  ...commonSettings,
  ...accrualLimitSettings,
  ...limitedClientSettings,
  /** For health and metrics. */
  PORT: port(5102),
  DATABASE_URL: postgresUrl(),
  ACCRUAL_URL: httpUrl(),
  ACCRUAL_TIMEOUT_MS: durationMs.default(5_000),
  /** Pause before the second check of an order. It doubles with each check, up to the longest. */
  CHECK_DELAY_MS: durationMs.default(1_000),
  CHECK_DELAY_MAX_MS: durationMs.default(3_600_000),
  /** After this time another worker checks the order of a worker that died. Longer than the timeout. */
  CLAIM_MS: durationMs.default(30_000),
});
export type WorkerSettings = z.infer<typeof workerSettings>;
