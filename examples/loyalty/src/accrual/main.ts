import { z } from 'zod';
import { commonSettings, port, runApp, wholeNumber } from '#service';
import { accrualLimitSettings } from '../shared.js';
import { AccrualController, ALREADY_REGISTERED, PROCESSING_MS } from './accrual.controller.js';
import { RequestLimit } from './request-limit.js';

class AccrualModule {}

await runApp({
  name: 'accrual',
  settings: z.object({
    ...commonSettings,
    ...accrualLimitSettings,
    PORT: port(5101),
    /** From an order's registration to its final status. */
    ACCRUAL_PROCESSING_MS: wholeNumber({ min: 0, max: 86_400_000 }).default(2_000),
  }),
  module: ({ ACCRUAL_LIMIT: limit, ACCRUAL_PERIOD_MS: periodMs, ACCRUAL_PROCESSING_MS }) => ({
    module: AccrualModule,
    controllers: [AccrualController],
    providers: [
      { provide: RequestLimit, useValue: new RequestLimit({ limit, periodMs }) },
      { provide: PROCESSING_MS, useValue: ACCRUAL_PROCESSING_MS },
    ],
  }),
  docs: { title: 'Accrual', description: 'Points for the goods of orders.', problems: [ALREADY_REGISTERED] },
});
