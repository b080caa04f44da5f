import { z } from 'zod';

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

export const managedAccountSchema = accountSchema
  .extend({ disabled: z.boolean(), createdAt: z.iso.datetime() })
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
    currentPassword: currentPasswordSchema.optional(),
  })
  .refine(
    ({ currentPassword: _, ...patch }) => Object.keys(patch).length > 0,
    'name at least one of paidAccess, role, disabled',
  )
  .meta({ id: 'AccountPatch', example: { paidAccess: true } });
export type AccountPatch = z.infer<typeof accountPatchSchema>;
