import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { inArray } from 'drizzle-orm';
import { accounts, type Database, InjectDatabase } from '#database';
import { hashPassword } from './passwords.js';

const DEMO_PASSWORD = 'octo-demo-password';

const DEMO_ACCOUNTS = [
  { email: 'admin@octo.local', paidAccess: true, role: 'admin' as const },
  { email: 'paid@octo.local', paidAccess: true },
  { email: 'free@octo.local' },
];

/** Accounts to try things with; never in production. */
@Injectable()
export class DemoAccounts implements OnModuleInit {
  constructor(@InjectDatabase() private readonly db: Database) {}

  async onModuleInit(): Promise<void> {
    const emails = DEMO_ACCOUNTS.map((account) => account.email);
    const existing = await this.db.select().from(accounts).where(inArray(accounts.email, emails));
    if (existing.length < DEMO_ACCOUNTS.length) await this.create();
    // The addresses are no secret of anybody's: they are the same everywhere.
    new Logger('accounts').log('demo accounts', { emails });
  }

  /** Leaves those that exist as they are; another process may be creating them right now. */
  private async create(): Promise<void> {
    const passwordHash = await hashPassword(DEMO_PASSWORD);
    await this.db
      .insert(accounts)
      .values(DEMO_ACCOUNTS.map((account) => Object.assign({ passwordHash }, account)))
      .onConflictDoNothing();
  }
}
