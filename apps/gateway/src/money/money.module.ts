import { Module } from '@nestjs/common';
import { AccountRightsService } from './account-rights.service.js';
import { ExpiredHolds } from './expired-holds.service.js';
import { Ledger } from './ledger.service.js';
import { Spending } from './spending.service.js';

/** Budgets, the ledger, and the rights to spend. */
@Module({
  providers: [AccountRightsService, Ledger, Spending, ExpiredHolds],
  exports: [Ledger, Spending],
})
export class MoneyModule {}
