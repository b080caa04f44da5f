import { z } from 'zod';
import { type LimitedPolicy, quotaPolicySchema } from '#quota';
import { compileExpression, ExpressionError } from './expressions.js';

export const providerNameSchema = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'must be 1 to 63 of a-z, 0-9 and -');
const headerNameSchema = z.string().regex(/^[\w-]+$/, 'must be a header name of letters, digits, - and _');
const expressionSchema = z.string().min(1, 'must be a JSONata expression');

function checkSyntax(source: string, context: z.RefinementCtx): void {
  try {
    compileExpression(source);
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    context.addIssue(error.message);
  }
}

const headersSchema = z.record(headerNameSchema, z.string().trim());

/** What an answer means, for answers that the defaults take wrong. The first rule that matches wins. */
const outcomeRuleSchema = z.strictObject({
  when: expressionSchema,
  outcome: z.enum(['delivered', 'refused', 'rejected', 'unauthorized', 'failed', 'unknown']),
  /** How long to stay away after a refusal, in milliseconds. */
  retryAfterMs: expressionSchema.optional(),
});

const quotaSchema = quotaPolicySchema.transform((quota): LimitedPolicy | undefined =>
  quota.policy === 'unlimited' ? undefined : quota,
);

const unitSchema = z.string().regex(/^[a-z][a-z0-9_-]{0,31}$/, 'must be a word such as requests or tokens');
/** A number stands for itself. */
const amountSchema = z.union([z.number().min(0).transform(String), expressionSchema.superRefine(checkSyntax)]);

/** What a quota of a list counts, for each request. */
export const countedSchema = z
  .strictObject({
    /** By default the name of the policy. */
    name: providerNameSchema.optional(),
    unit: unitSchema.default('requests'),
    /** Before the send; by default what recent requests used. */
    estimate: amountSchema.optional(),
    /** From the answer; by default the estimate. */
    actual: amountSchema.optional(),
  })
  .superRefine(({ unit, estimate, actual }, context) => {
    if (unit === 'requests' && (estimate ?? actual) !== undefined)
      context.addIssue({ code: 'custom', path: ['unit'], message: 'must be the unit of estimate and actual' });
  });

/** A quota of a list: a policy and what it counts. */
export type NamedQuota = z.output<typeof countedSchema> & { name: string; policy: LimitedPolicy };

const namedQuotaSchema = z
  .record(z.string(), z.unknown())
  .transform(({ name, unit, estimate, actual, ...rest }, context): NamedQuota => {
    const counted = countedSchema.safeParse(withoutUndefined({ name, unit, estimate, actual }));
    if (!counted.success) addIssues(context, counted.error);
    const parsed = quotaPolicySchema.safeParse(rest);
    if (!parsed.success) addIssues(context, parsed.error);
    if (!counted.success || !parsed.success) return z.NEVER;
    const { data: policy } = parsed;
    if (policy.policy === 'unlimited') {
      context.addIssue({ code: 'custom', path: ['policy'], message: 'must be a limit: leave an unlimited quota out' });
      return z.NEVER;
    }
    if (policy.policy === 'concurrency' && counted.data.unit !== 'requests')
      context.addIssue({
        code: 'custom',
        path: ['unit'],
        message: 'must be requests: what is in flight has no amount',
      });
    return { ...counted.data, name: counted.data.name ?? policy.policy, policy };
  });

function withoutUndefined(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function addIssues(context: z.RefinementCtx, { issues }: z.ZodError): void {
  for (const { path, message } of issues) context.addIssue({ code: 'custom', path, message });
}

const quotasSchema = z
  .array(namedQuotaSchema)
  .max(8, 'must have at most 8 quotas')
  .refine((quotas) => new Set(quotas.map(({ name }) => name)).size === quotas.length, 'names must differ');

/** Headers that say how a quota stands; standard fields are read anyway. */
const announcementSchema = z.strictObject({
  /** Name of the quota; may be left out where there is one. */
  quota: providerNameSchema.optional(),
  limit: headerNameSchema.optional(),
  remaining: headerNameSchema,
  reset: headerNameSchema.optional(),
});

const accountSchema = z.strictObject({
  name: providerNameSchema,
  url: z.string().optional(),
  headers: headersSchema.optional(),
  quota: quotaSchema.optional(),
  quotas: quotasSchema.optional(),
});

export const providerSchema = z
  .strictObject({
    name: providerNameSchema,
    /** Price of one message in millionths of the currency's unit. */
    priceMicros: z.coerce.number().int().min(0),
    /** True cost of a message, from its answer, in micro-units; default `priceMicros`. */
    cost: expressionSchema.optional(),
    /** Longest time from the start of a send to the end of its answer. */
    timeoutMs: z.coerce.number().int().min(1).max(600_000).default(5_000),
    /** Most requests in flight to one account, over all pods. */
    maxConcurrent: z.coerce.number().int().min(1).max(1_000_000).optional(),
    method: z.enum(['POST', 'PUT', 'PATCH', 'GET', 'DELETE']).default('POST'),
    url: z.string(),
    headers: headersSchema.default({}),
    json: z.unknown().optional(),
    form: z.record(z.string(), z.unknown()).optional(),
    text: z.string().optional(),
    /** The header that carries the message id: the provider then delivers a repeated message once. */
    idempotencyKey: headerNameSchema.optional(),
    /** Short form of `idempotencyKey: Idempotency-Key`. */
    idempotent: z.boolean().default(false),
    /** What the caller gets of the answer; default: the whole body. */
    response: expressionSchema.optional(),
    outcomes: z.array(outcomeRuleSchema).default([]),
    announcements: z.array(announcementSchema).default([]),
    /** Left out: the provider has no limit. */
    quota: quotaSchema.optional(),
    quotas: quotasSchema.optional(),
    /** The account whose quota this provider shares with others; default: the provider's own. */
    account: providerNameSchema.optional(),
    /** Several keys of one provider, each with its own quota. */
    accounts: z.array(accountSchema).min(1).optional(),
  })
  .superRefine(({ json, form, text, account, accounts, quota, quotas }, context) => {
    const bodies = [json, form, text].filter((body) => body !== undefined);
    if (bodies.length > 1) context.addIssue('must have at most one of json, form and text');
    if (account !== undefined && accounts !== undefined)
      context.addIssue('must have at most one of account and accounts');
    if (quota !== undefined && quotas !== undefined) context.addIssue('must have at most one of quota and quotas');
  });
export type ProviderInput = z.infer<typeof providerSchema>;

export const channelSchema = z.strictObject({
  /** JSON Schema 2020-12 of the message; without it a message is text. */
  message: z.record(z.string(), z.unknown()).optional(),
  providers: z.array(providerNameSchema).min(1, 'must name at least one provider'),
  onNoAnswer: z.enum(['next', 'stop']).default('next'),
  onRejected: z.enum(['next', 'stop']).default('stop'),
});
export type ChannelInput = z.infer<typeof channelSchema>;

export const providersFileSchema = z.strictObject({
  currency: z.string().regex(/^[A-Z]{3}$/, 'must be an ISO 4217 code such as USD'),
  channels: z.record(providerNameSchema, channelSchema).optional(),
  providers: z.array(providerSchema).min(1, 'must name at least one provider'),
});
