import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import { type LimitedPolicy, quotaPolicySchema } from '#quota';
import { SettingsError } from '#service';

/** Injection token of the parsed providers file. */
export const PROVIDERS = Symbol('PROVIDERS');

export const providerNameSchema = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'must be 1 to 63 of a-z, 0-9 and -');

const headerValueSchema = z
  .string()
  .trim()
  .regex(/^[\t\x20-\x7e]*$/, 'must be one line of ASCII');

const providerSchema = z.strictObject({
  name: providerNameSchema,
  url: z.url({ protocol: /^https?$/, error: 'must be an http:// or https:// URL' }),
  /** Price of one message in millionths of the currency's unit. */
  priceMicros: z.coerce.number().int().min(0),
  /** Longest time from the start of a send to the end of its answer. */
  timeoutMs: z.coerce.number().int().min(1).max(600_000).default(5_000),
  /** Sent with every request, such as the key of the account. */
  headers: z.record(z.string().regex(/^[\w-]+$/), headerValueSchema).default({}),
  /**
   * The provider honours `Idempotency-Key`: it delivers a repeated message once and replays its first answer. The gateway
   * then repeats a send whose answer was lost until the outcome is known.
   */
  idempotent: z.boolean().default(false),
  /** Left out: the provider has no limit. */
  quota: quotaPolicySchema
    .optional()
    .transform((quota): LimitedPolicy | undefined => (quota?.policy === 'unlimited' ? undefined : quota)),
});
/** A provider with the currency of its price. */
export type Provider = z.infer<typeof providerSchema> & { currency: string };

const providersFileSchema = z.strictObject({
  currency: z.string().regex(/^[A-Z]{3}$/, 'must be an ISO 4217 code such as USD'),
  providers: z
    .array(providerSchema)
    .min(1, 'must name at least one provider')
    .refine((providers) => new Set(providers.map(({ name }) => name)).size === providers.length, {
      error: 'names must differ',
    }),
});
export interface ProvidersFile {
  currency: string;
  providers: Provider[];
}

/**
 * Reads the providers of the gateway. `${NAME}` and `${NAME:-default}` come from the environment.
 * Returns the providers in the order they are tried: by price, then by their place in the file.
 * @throws SettingsError naming every bad field at once
 */
export function readProvidersFile(path: string, env: NodeJS.ProcessEnv): ProvidersFile {
  const problems: string[] = [];
  const result = providersFileSchema.safeParse(substitute(parseFile(path), env, problems));
  // An unset variable is the cause; that it leaves its field empty is not worth a second line.
  if (problems.length > 0) throw new SettingsError(problems.map((problem) => `${path}: ${problem}`));
  if (!result.success) {
    throw new SettingsError(result.error.issues.map((issue) => `${path}: ${where(issue.path)}${issue.message}`));
  }
  const { currency, providers } = result.data;
  const byPrice = providers.toSorted((one, other) => one.priceMicros - other.priceMicros);
  return { currency, providers: byPrice.map((provider) => Object.assign(provider, { currency })) };
}

function parseFile(path: string): unknown {
  try {
    return parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new SettingsError([`PROVIDERS_FILE: cannot read ${path}: ${(cause as Error).message}`]);
  }
}

function substitute(value: unknown, env: NodeJS.ProcessEnv, problems: string[]): unknown {
  if (typeof value === 'string') return substituteText(value, env, problems);
  if (Array.isArray(value)) return value.map((item) => substitute(item, env, problems));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, substitute(item, env, problems)]));
}

function substituteText(text: string, env: NodeJS.ProcessEnv, problems: string[]): string {
  return text.replaceAll(/\$\{(\w+)(?::-([^}]*))?\}/g, (_, name: string, fallback: string | undefined) => {
    const value = env[name] || fallback;
    if (value === undefined) problems.push(`${name} is not set`);
    return value ?? '';
  });
}

function where(path: PropertyKey[]): string {
  return path.length === 0 ? '' : `${path.map(String).join('.')}: `;
}
