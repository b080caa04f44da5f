import { pgTable, text, timestamp } from 'drizzle-orm/pg-core';

/** Providers whose quota was set up once; a quota that is missing later must not look like a fresh one. */
export const providerProvisioning = pgTable('provider_provisioning', {
  name: text('name').primaryKey(),
  provisionedAt: timestamp('provisioned_at', { withTimezone: true, precision: 3 }).notNull().defaultNow(),
});
