import { pgTable, text, timestamp } from 'drizzle-orm/pg-core';

/** Providers whose quota was provisioned: if it is missing later, it must not look like a fresh quota. */
export const providerProvisioning = pgTable('provider_provisioning', {
  name: text('name').primaryKey(),
  provisionedAt: timestamp('provisioned_at', { withTimezone: true, precision: 3 }).notNull().defaultNow(),
});

export const PROVIDER_STATES = ['enabled', 'drained', 'disabled'] as const;
export type ProviderState = (typeof PROVIDER_STATES)[number];

/** Every provider account that a gateway has known, and whether an admin lets it be used. */
export const providerSwitches = pgTable('provider_switches', {
  /** `provider/account`, or the provider's name when it has one account. */
  key: text('key').primaryKey(),
  state: text('state', { enum: PROVIDER_STATES }).notNull().default('enabled'),
  changedAt: timestamp('changed_at', { withTimezone: true, precision: 3 }).notNull().defaultNow(),
});
