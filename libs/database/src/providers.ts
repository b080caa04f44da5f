import { pgTable, text, timestamp } from 'drizzle-orm/pg-core';

/** Providers whose quota was provisioned: if it is missing later, it must not look like a fresh quota. */
export const providerProvisioning = pgTable('provider_provisioning', {
  name: text('name').primaryKey(),
  provisionedAt: timestamp('provisioned_at', { withTimezone: true, precision: 3 }).notNull().defaultNow(),
});
