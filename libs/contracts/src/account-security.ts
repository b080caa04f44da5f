import { z } from 'zod';
import { currentPasswordSchema, newPasswordSchema, passwordSchema, totpCodeSchema } from './accounts.js';

export const passwordChangeSchema = z
  .strictObject({
    currentPassword: passwordSchema.min(1, 'must not be empty'),
    newPassword: newPasswordSchema,
  })
  .meta({
    id: 'PasswordChange',
    example: { currentPassword: 'correct horse battery', newPassword: 'another horse and battery' },
  });
export type PasswordChange = z.infer<typeof passwordChangeSchema>;

export const passwordResetSchema = z
  .strictObject({
    token: z.string().min(1, 'must not be empty').max(256, 'must have at most 256 characters'),
    newPassword: newPasswordSchema,
  })
  .meta({ id: 'PasswordReset', example: { token: 'x'.repeat(43), newPassword: 'another horse and battery' } });
export type PasswordReset = z.infer<typeof passwordResetSchema>;

/** The body may be left out. */
export const reauthenticationSchema = z
  .strictObject({ currentPassword: currentPasswordSchema.optional() })
  .optional()
  .meta({ id: 'Reauthentication', example: { currentPassword: 'correct horse battery' } });
export type Reauthentication = z.infer<typeof reauthenticationSchema>;

export const resetTokenSchema = z
  .object({
    token: z.string().meta({ description: 'shown once: Octo stores a hash of it' }),
    expiresAt: z.iso.datetime(),
  })
  .meta({ id: 'ResetToken' });
export type ResetToken = z.infer<typeof resetTokenSchema>;

export const sessionSchema = z
  .object({
    id: z.uuid(),
    userAgent: z.string().nullable(),
    createdAt: z.iso.datetime(),
    lastUsedAt: z.iso.datetime().meta({ description: 'of the login or the last refresh' }),
    expiresAt: z.iso.datetime().meta({ description: 'unless it is refreshed before' }),
    current: z.boolean().meta({ description: 'whether it is the session of this request' }),
  })
  .meta({ id: 'Session' });
export type Session = z.infer<typeof sessionSchema>;

export const sessionListSchema = z.object({ items: z.array(sessionSchema) }).meta({ id: 'SessionList' });
export type SessionList = z.infer<typeof sessionListSchema>;

/** For changes that a stolen access token must not be enough for. */
export const passwordConfirmationSchema = z
  .strictObject({ currentPassword: passwordSchema.min(1, 'must not be empty') })
  .meta({ id: 'PasswordConfirmation', example: { currentPassword: 'correct horse battery' } });
export type PasswordConfirmation = z.infer<typeof passwordConfirmationSchema>;

export const totpConfirmationSchema = z
  .strictObject({ code: totpCodeSchema })
  .meta({ id: 'TotpConfirmation', example: { code: '123456' } });
export type TotpConfirmation = z.infer<typeof totpConfirmationSchema>;

export const totpSetupSchema = z
  .object({
    secret: z.string().meta({ description: 'base32; shown once' }),
    uri: z.string().meta({ description: 'for a QR code', example: 'otpauth://totp/Octo:you%40example.com?secret=…' }),
  })
  .meta({ id: 'TotpSetup' });
export type TotpSetup = z.infer<typeof totpSetupSchema>;

export const webhookSecretSchema = z
  .object({
    version: z.int().meta({ description: '1 is the first secret of the account' }),
    createdAt: z.iso.datetime(),
    previousExpiresAt: z.iso.datetime().meta({
      description: 'Until then the secret before it signs too; before the first one, the secrets of the deployment',
    }),
  })
  .meta({ id: 'WebhookSecret' });
export type WebhookSecret = z.infer<typeof webhookSecretSchema>;

export const createdWebhookSecretSchema = webhookSecretSchema
  .extend({
    secret: z.string().meta({ description: 'shown once', example: `whsec_${'x'.repeat(43)}=` }),
  })
  .meta({ id: 'CreatedWebhookSecret' });
export type CreatedWebhookSecret = z.infer<typeof createdWebhookSecretSchema>;

export const SECURITY_EVENTS = [
  'account_created',
  'account_disabled',
  'account_enabled',
  'key_created',
  'key_revoked',
  'login',
  'login_locked',
  'logout',
  'paid_access_changed',
  'provider_switched',
  'budget_changed',
  'free_share_changed',
  'priority_changed',
  'password_changed',
  'password_reset',
  'reauthentication',
  'refresh_token_reused',
  'reset_token_created',
  'role_changed',
  'session_ended',
  'totp_disabled',
  'totp_enabled',
  'webhook_secret_created',
] as const;

export const securityEventSchema = z
  .object({
    id: z.string().meta({ description: 'grows with time' }),
    at: z.iso.datetime(),
    event: z.enum(SECURITY_EVENTS),
    result: z.enum(['ok', 'refused']),
    actorId: z.uuid().nullable().meta({ description: 'the account that acted; null: not logged in, or an operator' }),
    accountId: z.uuid().nullable().meta({ description: 'the account that it concerns; null: unknown' }),
    emailHash: z
      .string()
      .nullable()
      .meta({ description: 'of a login: the same for the same e-mail address until the signing key changes' }),
    address: z.string().nullable().meta({ description: 'network address of the client; null: the admin command' }),
    requestId: z.string().nullable(),
    detail: z.string().nullable(),
  })
  .meta({ id: 'SecurityEvent' });
export type SecurityEvent = z.infer<typeof securityEventSchema>;

export const securityLogSchema = z
  .object({ items: z.array(securityEventSchema), nextCursor: z.string().nullable() })
  .meta({ id: 'SecurityLog' });
export type SecurityLogPage = z.infer<typeof securityLogSchema>;
