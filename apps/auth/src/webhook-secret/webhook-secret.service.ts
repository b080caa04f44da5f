import { Injectable } from '@nestjs/common';
import { eq, sql } from 'drizzle-orm';
import type { Caller } from '#access-token';
import { accountKey, SECRET_OVERLAP_MS, secretOf } from '#callback-secrets';
import type { CreatedWebhookSecret, WebhookSecret } from '#contracts';
import { callbackSecrets, type Database, InjectDatabase } from '#database';
import { ProblemException } from '#service';
import { Reauthentication } from '../accounts/reauthentication.service.js';
import { type AuthSettings, InjectSettings } from '../auth.settings.js';
import type { Client } from '../client.js';
import { SecurityLog } from '../security-log/security-log.service.js';

/** The secret that signs the webhooks of the account that asks. */
@Injectable()
export class WebhookSecretService {
  constructor(
    @InjectDatabase() private readonly db: Database,
    @InjectSettings() private readonly settings: AuthSettings,
    private readonly reauthentication: Reauthentication,
    private readonly log: SecurityLog,
  ) {}

  /**
   * Creates the next secret. Gateways read its version when they claim a webhook, so they use it at once.
   * @throws ProblemException forbidden, reauthentication_required, invalid_credentials, too_many_attempts
   */
  async create(
    caller: Caller,
    { currentPassword, client }: { currentPassword: string | undefined; client: Client },
  ): Promise<CreatedWebhookSecret> {
    const [master] = this.settings.CALLBACK_MASTER_SECRETS;
    if (master === undefined) {
      throw new ProblemException(
        'forbidden',
        'Accounts have no webhook secrets here: CALLBACK_MASTER_SECRETS is not set.',
      );
    }
    await this.reauthentication.requireRecent(caller, { currentPassword, client });
    const { accountId } = caller;
    const created = await this.nextVersion(accountId);
    const { version } = created;
    const actor = { accountId, client };
    await this.log.record({ event: 'webhook_secret_created', actor, accountId, detail: `version ${version}` });
    return { ...created, secret: secretOf(accountKey(master, { accountId, version })) };
  }

  /** @throws ProblemException not_found */
  async current({ accountId }: Caller): Promise<WebhookSecret> {
    const [row] = await this.db.select().from(callbackSecrets).where(eq(callbackSecrets.accountId, accountId));
    if (row !== undefined) return webhookSecretOf(row);
    throw new ProblemException('not_found', 'This account has created no webhook secret.');
  }

  private async nextVersion(accountId: string): Promise<WebhookSecret> {
    const [row] = await this.db
      .insert(callbackSecrets)
      .values({ accountId })
      .onConflictDoUpdate({
        target: callbackSecrets.accountId,
        set: { version: sql`${callbackSecrets.version} + 1`, createdAt: sql`now()` },
      })
      .returning();
    if (row === undefined) throw new Error('the upsert of a webhook secret returned no row');
    return webhookSecretOf(row);
  }
}

function webhookSecretOf({ version, createdAt }: typeof callbackSecrets.$inferSelect): WebhookSecret {
  const previousExpiresAt = new Date(createdAt.getTime() + SECRET_OVERLAP_MS);
  return { version, createdAt: createdAt.toISOString(), previousExpiresAt: previousExpiresAt.toISOString() };
}
