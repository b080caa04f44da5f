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

/** Accounts for trying Octo; never in production. */
@Injectable()
export class DemoAccounts implements OnModuleInit {
  constructor(@InjectDatabase() private readonly db: Database) {}

  async onModuleInit(): Promise<void> {
    const emails = DEMO_ACCOUNTS.map((account) => account.email);
    const existing = await this.db.select().from(accounts).where(inArray(accounts.email, emails));
    if (existing.length < DEMO_ACCOUNTS.length) await this.create();
    // Not private addresses: they are the same in every stack.
    new Logger('accounts').log('demo accounts', { emails });
  }

  /** Keeps existing accounts; another process may be creating them at the same time. */
  private async create(): Promise<void> {
    const passwordHash = await hashPassword(DEMO_PASSWORD);
    await this.db
      .insert(accounts)
      .values(DEMO_ACCOUNTS.map((account) => Object.assign({ passwordHash }, account)))
      .onConflictDoNothing();
  }
}
