import { z } from 'zod';
import { PRIORITIES } from './messages.js';

export const roleSchema = z.enum(['user', 'admin']);
export type Role = z.infer<typeof roleSchema>;

/** E-mail addresses are compared without case. */
const emailSchema = z
  .email('must be an e-mail address')
  .max(254, 'must have at most 254 characters')
  .transform((email) => email.toLowerCase());

/** Half a surrogate pair cannot be encoded in UTF-8: different passwords would become the same bytes. */
export const passwordSchema = z
  .string()
  .max(256, 'must have at most 256 characters')
  .refine((password) => password.isWellFormed(), 'must be well-formed Unicode');

/**
 * Length is the only rule of the schema (NIST SP 800-63B, 5.1.1.2); the upper bound keeps hashing affordable. Auth also
 * refuses passwords that are known from breaches.
 */
export const newPasswordSchema = passwordSchema.min(10, 'must have at least 10 characters');

export const registrationSchema = z
  .strictObject({
    email: emailSchema,
    password: newPasswordSchema,
  })
  .meta({ id: 'Registration', example: { email: 'you@example.com', password: 'correct horse battery' } });
export type Registration = z.infer<typeof registrationSchema>;

/** RFC 6238, with the defaults that authenticator apps expect. */
export const totpCodeSchema = z.string().regex(/^\d{6}$/, 'must have 6 digits');

export const credentialsSchema = z
  .strictObject({
    email: emailSchema,
    password: passwordSchema.min(1, 'must not be empty'),
    totp: totpCodeSchema.optional().meta({ description: 'one-time code; needed once the account has set it up' }),
  })
  .meta({ id: 'Credentials', example: { email: 'paid@octo.local', password: 'octo-demo-password' } });
export type Credentials = z.infer<typeof credentialsSchema>;

export const accountSchema = z
  .object({ id: z.uuid(), email: z.string(), paidAccess: z.boolean(), role: roleSchema })
  .meta({ id: 'Account' });
export type Account = z.infer<typeof accountSchema>;

export const loginSchema = accountSchema
  .extend({ expiresAt: z.iso.datetime().meta({ description: 'when the access token expires' }) })
  .meta({ id: 'Login' });
export type Login = z.infer<typeof loginSchema>;

/** Largest budget: ten million units of the currency. Greater numbers lose digits on their way through Redis. */
export const BUDGET_MAX_MICROS = 10_000_000_000_000;

const budgetLimitSchema = z
  .int('must be a whole number of micro-units')
  .min(0, 'must not be negative')
  .max(BUDGET_MAX_MICROS, `must be at most ${BUDGET_MAX_MICROS}`)
  .nullable()
  .default(null);

export const budgetSchema = z.strictObject({ dayMicros: budgetLimitSchema, monthMicros: budgetLimitSchema }).meta({
  id: 'Budget',
  description: 'most that may be spent in a calendar day and month, in millionths of the currency; null: no limit',
  example: { dayMicros: 307_500, monthMicros: null },
});
export type Budget = z.infer<typeof budgetSchema>;

export const FREE_SHARE_MAX = 999_999_999;

export const freeShareSchema = z
  .union([z.enum(['all', 'equal']), z.int().min(0).max(FREE_SHARE_MAX)], {
    error: `must be "all", "equal" or a whole number of at most ${FREE_SHARE_MAX}`,
  })
  .meta({
    id: 'FreeShare',
    description:
      'how many requests of each window of a free quota: all; a number; or an equal part among the accounts with equal shares that ask for some',
    example: 'equal',
  });
export type FreeShare = z.infer<typeof freeShareSchema>;

export const accountPrioritySchema = z.enum(PRIORITIES).meta({
  id: 'AccountPriority',
  description: 'an account gets twice as many turns as one of the next lower priority when messages wait',
});

export const managedAccountSchema = accountSchema
  .extend({
    disabled: z.boolean(),
    budget: budgetSchema,
    freeShare: freeShareSchema,
    priority: accountPrioritySchema,
    createdAt: z.iso.datetime(),
  })
  .meta({ id: 'ManagedAccount' });
export type ManagedAccount = z.infer<typeof managedAccountSchema>;

export const accountListSchema = z
  .object({ items: z.array(managedAccountSchema), nextCursor: z.string().nullable() })
  .meta({ id: 'AccountList' });
export type AccountList = z.infer<typeof accountListSchema>;

/** Of the admin who asks: instead of a recent login. */
export const currentPasswordSchema = passwordSchema
  .min(1, 'must not be empty')
  .meta({ description: 'your own password; needed if your login is older than 15 minutes' });

export const accountPatchSchema = z
  .strictObject({
    paidAccess: z.boolean().optional(),
    role: roleSchema.optional(),
    disabled: z.boolean().optional(),
    budget: budgetSchema.optional(),
    freeShare: freeShareSchema.optional(),
    priority: accountPrioritySchema.optional(),
    currentPassword: currentPasswordSchema.optional(),
  })
  .refine(
    ({ currentPassword: _, ...patch }) => Object.keys(patch).length > 0,
    'name at least one of paidAccess, role, disabled, budget, freeShare, priority',
  )
  .meta({ id: 'AccountPatch', example: { paidAccess: true } });
export type AccountPatch = z.infer<typeof accountPatchSchema>;

/** The account of a request. An API key may have no expiry. */
export const currentAccountSchema = accountSchema
  .extend({ expiresAt: z.iso.datetime().nullable().meta({ description: 'when the access token or API key expires' }) })
  .meta({ id: 'CurrentAccount' });
export type CurrentAccount = z.infer<typeof currentAccountSchema>;

export const newApiKeySchema = z
  .strictObject({
    name: z
      .string()
      .trim()
      .min(1, 'must not be empty')
      .max(100, 'must have at most 100 characters')
      .regex(/^[^\p{Cc}\p{Cs}]*$/u, 'must have no control characters and be well-formed Unicode'),
    expiresAt: z.iso
      .datetime({ offset: true, error: 'must be a time of RFC 3339, such as 2027-01-01T00:00:00Z' })
      .transform((text) => new Date(text))
      .refine((time) => time.getTime() > Date.now(), 'must be in the future')
      .optional(),
  })
  .meta({ id: 'NewApiKey', example: { name: 'nightly reports', expiresAt: '2099-01-01T00:00:00Z' } });
export type NewApiKey = z.infer<typeof newApiKeySchema>;

export const createdApiKeySchema = z
  .object({
    id: z.uuid(),
    name: z.string(),
    key: z.string().meta({ description: 'shown once: Octo stores a hash of it', example: `octo_${'x'.repeat(49)}` }),
  })
  .meta({ id: 'CreatedApiKey' });
export type CreatedApiKey = z.infer<typeof createdApiKeySchema>;

export const listedApiKeySchema = z
  .object({
    id: z.uuid(),
    name: z.string(),
    prefix: z.string().meta({ description: 'the first characters of the key', example: 'octo_Qx4f' }),
    createdAt: z.iso.datetime(),
    expiresAt: z.iso.datetime().nullable(),
    lastUsedAt: z.iso.datetime().nullable().meta({ description: 'to the minute' }),
  })
  .meta({ id: 'ListedApiKey' });
export type ListedApiKey = z.infer<typeof listedApiKeySchema>;

/** At most 20 keys, so it has no pages. */
export const apiKeyListSchema = z.object({ items: z.array(listedApiKeySchema) }).meta({ id: 'ApiKeyList' });
export type ApiKeyList = z.infer<typeof apiKeyListSchema>;
