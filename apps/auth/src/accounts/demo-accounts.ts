import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { and, eq, inArray } from 'drizzle-orm';
import { accounts, type Database, InjectDatabase } from '#database';
import { hashPassword, isPasswordOf } from '#passwords';
import { SettingsError } from '#service';
import { type AuthSettings, InjectSettings } from '../auth.settings.js';

const DEMO_PASSWORD = 'octo-demo-password';

const DEMO_ACCOUNTS = [
  { email: 'admin@octo.local', paidAccess: true, role: 'admin' as const },
  { email: 'paid@octo.local', paidAccess: true },
  { email: 'free@octo.local' },
];
const DEMO_EMAILS = DEMO_ACCOUNTS.map((account) => account.email);

/** Accounts for trying Octo. In production a start fails while one of them can be used: the password is public. */
@Injectable()
export class DemoAccounts implements OnModuleInit {
  constructor(
    @InjectDatabase() private readonly db: Database,
    @InjectSettings() private readonly settings: Pick<AuthSettings, 'NODE_ENV' | 'SEED_DEMO_ACCOUNTS'>,
  ) {}

  async onModuleInit(): Promise<void> {
    if (this.settings.NODE_ENV === 'production') await this.refuseUsable();
    else if (this.settings.SEED_DEMO_ACCOUNTS) await this.seed();
  }

  /** @throws SettingsError naming each enabled account with the demo password */
  private async refuseUsable(): Promise<void> {
    const enabled = await this.db
      .select()
      .from(accounts)
      .where(and(inArray(accounts.email, DEMO_EMAILS), eq(accounts.disabled, false)));
    const problems: string[] = [];
    for (const { email, passwordHash } of enabled) {
      if (await isPasswordOf(passwordHash, DEMO_PASSWORD)) problems.push(mendingOf(email));
    }
    if (problems.length > 0) throw new SettingsError(problems);
  }

  private async seed(): Promise<void> {
    const existing = await this.db.select().from(accounts).where(inArray(accounts.email, DEMO_EMAILS));
    if (existing.length < DEMO_ACCOUNTS.length) await this.create();
    // Not private addresses: they are the same in every stack.
    new Logger('accounts').log('demo accounts', { emails: DEMO_EMAILS });
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

function mendingOf(email: string): string {
  const command = (name: string): string => `node dist/bin/admin.js ${name} --email ${email}`;
  return (
    `NODE_ENV: is production, but ${email} is enabled and has the demo password; ` +
    `run \`${command('disable')}\` or \`${command('set-password')}\``
  );
}
