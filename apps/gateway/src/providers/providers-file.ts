import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import {
  type AnnouncedQuota,
  type AnnouncementReader,
  announcementReader,
  type LimitedPolicy,
  limitOf,
  periodMsOf,
  REQUESTS,
} from '#quota';
import { SettingsError } from '#service';
import { type AmountEstimate, compileEstimates, type CountedAmount, withUse } from './amounts.js';
import { type AnswerReader, compileAnswer } from './answer-reader.js';
import { type Channel, compileChannel } from './channel.js';
import { ExpressionError } from './expressions.js';
import { type ProviderInput, providersFileSchema } from './provider-schema.js';
import { type BodyTemplate, compileRequest, type RequestTemplate } from './request-template.js';
import { type Lookup, lookupIn, problemsOf, readYamlFile, type YamlFile } from './yaml-file.js';

/** Injection token of the parsed providers file. */
export const PROVIDERS = Symbol('PROVIDERS');

/** One account of a provider: where messages are sent to. */
export interface Provider {
  readonly name: string;
  /** Whose quota it uses: `provider/account`, the provider's name when it has one account, or a shared name. */
  readonly account: string;
  /** Distinguishes the entries of a file: `provider/account`, or the provider's name. */
  readonly key: string;
  /** Hash of everything that the file says of it, secrets included: tells whether a reload changed it. */
  readonly definition: string;
  readonly priceMicros: number;
  readonly currency: string;
  /** Longest time from the start of a send to the end of its answer. */
  readonly timeoutMs: number;
  /** The provider delivers a repeated message once: it honours the message's id as idempotency key. */
  readonly idempotent: boolean;
  /** The header that carries the message's id. */
  readonly idempotencyHeader: string | undefined;
  /** The quota that allows the fewest messages in the long run. Undefined: no limit but of messages in flight. */
  readonly quota: LimitedPolicy | undefined;
  /** All quotas of the account: a message needs a permit of each. */
  readonly quotas: readonly AccountQuota[];
  /** An HTTP proxy that leads to the provider. */
  readonly proxyUrl: string | undefined;
  readonly request: RequestTemplate;
  readonly readAnswer: AnswerReader;
  /** What a message will use of the quotas that count amounts. */
  readonly estimate: AmountEstimate | undefined;
  /** What an answer says of the account's quota. */
  readonly readAnnouncement: AnnouncementReader;
}

/** A quota of an account; without a name if it is the only one. */
export interface AccountQuota extends Readonly<CountedAmount> {
  readonly policy: LimitedPolicy;
}

export interface ProvidersFile {
  readonly currency: string;
  /** In the order they are tried: by price, then by their place in the file. */
  readonly providers: readonly Provider[];
  readonly channels: ReadonlyMap<string, Channel>;
  /** Replaces the secrets of the file in a text that leaves the gateway. */
  redact(text: string): string;
}

/** The channel of a request that names none, if there are several. */
export const DEFAULT_CHANNEL = 'default';

/** Shorter values, and short numbers such as a limit, are no secrets; replacing them would garble texts. */
const SECRET_MIN_CHARS = 4;
const NO_SECRET = /^\d{1,7}$/;

/**
 * Reads the providers and channels of the gateway.
 * @param lookup the values of the file's variables
 * @throws SettingsError with every problem of the file, each with file, line, column and field
 */
export function readProvidersFile(path: string, env: NodeJS.ProcessEnv, lookup: Lookup = lookupIn(env)): ProvidersFile {
  const file = readYamlFile(path, lookup);
  const parsed = providersFileSchema.safeParse(file.value);
  if (!parsed.success) throw new SettingsError(problemsOf(file, parsed.error));
  const { currency, channels = {}, providers: inputs } = parsed.data;
  const problems: string[] = [];
  const secrets = new Set(file.secrets);
  const redact = redactor(secrets);
  const found: Found = { file, env, problems, redact };
  const compiled = inputs.flatMap((input, index) => accountsOf(input, index, currency, found));
  for (const { request } of compiled) for (const secret of request.secrets) secrets.add(secret);
  findDuplicates(inputs, found);
  const shared = shareQuotas(compiled, inputs, found);
  const providers = shared.toSorted((one, other) => one.priceMicros - other.priceMicros);
  const providerNames = inputs.map(({ name }) => name);
  const all = { providers: providerNames, onNoAnswer: 'next', onRejected: 'stop' } as const;
  const inputsOfChannels = Object.keys(channels).length === 0 ? { [DEFAULT_CHANNEL]: all } : channels;
  const compiledChannels = Object.entries(inputsOfChannels).map(([name, input]) => {
    const channel = compileChannel(name, input, { all: providers, providerNames });
    problems.push(
      ...channel.problems.map(({ field, message }) => file.problemAt(['channels', name, ...field], message)),
    );
    return [name, channel.channel] as const;
  });
  if (problems.length > 0) throw new SettingsError(problems);
  return { currency, providers, channels: new Map(compiledChannels), redact };
}

interface Found {
  file: YamlFile;
  env: NodeJS.ProcessEnv;
  problems: string[];
  redact: (text: string) => string;
}

function accountsOf(input: ProviderInput, index: number, currency: string, found: Found): Provider[] {
  const { name, accounts } = input;
  const at = ['providers', index] as const;
  if (accounts === undefined) {
    return compileProvider(input, { key: name, account: input.account ?? name, currency, at, found });
  }
  return accounts.flatMap(({ name: account, url, headers, quota, quotas }, place) => {
    const hasOwnQuota = quota !== undefined || quotas !== undefined;
    const own = { url: url ?? input.url, ...(hasOwnQuota && { quota, quotas }) };
    const merged = { ...input, ...own, headers: { ...input.headers, ...headers } };
    const key = `${name}/${account}`;
    return compileProvider(merged, { key, account: key, currency, at: [...at, 'accounts', place], found });
  });
}

function compileProvider(
  input: ProviderInput,
  {
    key,
    account,
    currency,
    at,
    found,
  }: { key: string; account: string; currency: string; at: readonly PropertyKey[]; found: Found },
): Provider[] {
  const isSmallContract = [input.json, input.form, input.text, input.response].every((field) => field === undefined);
  const compile = <Result>(field: string, work: () => Result): Result | undefined => {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      found.problems.push(found.file.problemAt([...at, field], found.redact(error.message)));
      return undefined;
    }
  };
  const { method, url, headers } = input;
  const request = compile('url', () => compileRequest({ method, url, headers, body: bodyOf(input) }));
  const { response, cost, outcomes } = input;
  const source = {
    isSmallContract: isSmallContract && outcomes.length === 0,
    response,
    cost,
    outcomes,
    redact: found.redact,
  };
  const readAnswer = compile('outcomes', () => compileAnswer(source));
  if (request === undefined || readAnswer === undefined) return [];
  const { name, priceMicros, timeoutMs, idempotent, idempotencyKey } = input;
  const idempotencyHeader = idempotencyKey ?? (idempotent || source.isSmallContract ? 'idempotency-key' : undefined);
  return [
    {
      name,
      account,
      key,
      definition: createHash('sha256').update(JSON.stringify(input)).digest('hex'),
      priceMicros,
      currency,
      timeoutMs,
      idempotent: idempotent || idempotencyKey !== undefined,
      idempotencyHeader: idempotencyHeader?.toLowerCase(),
      quota: undefined,
      quotas: quotasOf(input),
      proxyUrl: proxyFor(request.origin, found.env),
      request,
      readAnswer,
      estimate: undefined,
      readAnnouncement: announcementReader([]),
    },
  ];
}

/** The proxy that the environment names for an origin, by the usual variables. */
function proxyFor(origin: string, env: NodeJS.ProcessEnv): string | undefined {
  const { protocol, hostname } = new URL(origin);
  const name = protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY';
  const proxy = env[name.toLowerCase()] || env[name];
  const exceptions = (env['no_proxy'] || env['NO_PROXY'] || '').split(/[\s,]+/).filter((entry) => entry !== '');
  const isExcepted = exceptions.some((entry) => {
    const suffix = entry.replace(/^\*?\./, '');
    return entry === '*' || hostname === suffix || hostname.endsWith(`.${suffix}`);
  });
  return proxy && !isExcepted ? proxy : undefined;
}

function bodyOf({ json, form, text, method }: ProviderInput): BodyTemplate {
  if (json !== undefined) return { kind: 'json', value: json };
  if (form !== undefined) return { kind: 'form', value: form };
  if (text !== undefined) return { kind: 'text', value: text };
  return method === 'GET' || method === 'DELETE' ? { kind: 'none' } : { kind: 'message' };
}

function findDuplicates(inputs: readonly ProviderInput[], { file, problems }: Found): void {
  for (const [index, { name, accounts = [] }] of inputs.entries()) {
    if (inputs.findIndex((other) => other.name === name) < index) {
      problems.push(file.problemAt(['providers', index, 'name'], 'names must differ'));
    }
    for (const [place, account] of accounts.entries()) {
      if (accounts.findIndex((other) => other.name === account.name) === place) continue;
      problems.push(file.problemAt(['providers', index, 'accounts', place, 'name'], 'names must differ'));
    }
  }
}

/** The quotas of an entry. The only one of the short form has no name. */
function quotasOf({ quota, quotas = [], maxConcurrent }: ProviderInput): AccountQuota[] {
  if (quota !== undefined && maxConcurrent === undefined) return [{ name: undefined, policy: quota, unit: REQUESTS }];
  const named = quota === undefined ? quotas : [{ name: quota.policy, policy: quota, unit: REQUESTS }];
  const concurrency = { policy: 'concurrency', limit: maxConcurrent ?? 0 } as const;
  return maxConcurrent === undefined
    ? [...named]
    : [...named, { name: 'max-concurrent', policy: concurrency, unit: REQUESTS }];
}

/** Providers that share an account share its quotas, which any of them may define. */
function shareQuotas(providers: Provider[], inputs: readonly ProviderInput[], { file, problems }: Found): Provider[] {
  const shared = new Map<string, readonly AccountQuota[]>();
  for (const { account, name, quotas } of providers) {
    const known = shared.get(account);
    if (quotas.length === 0) continue;
    shared.set(account, quotas);
    if (known === undefined || isDeepStrictEqual(known, quotas)) continue;
    const index = inputs.findIndex((input) => input.name === name);
    problems.push(file.problemAt(['providers', index, 'account'], `the quota of account "${account}" differs`));
  }
  return providers.map((provider) => {
    const quotas = shared.get(provider.account) ?? [];
    const index = inputs.findIndex(({ name }) => name === provider.name);
    const { announcements = [] } = inputs[index] ?? {};
    for (const [place, { quota = quotas[0]?.name }] of announcements.entries()) {
      if (quotas.some(({ name }) => name === quota)) continue;
      problems.push(file.problemAt(['providers', index, 'announcements', place, 'quota'], 'must name a quota'));
    }
    const readAnnouncement = announcementReader(quotas.map((quota, at) => withHeaders(quota, announcements, at === 0)));
    const readAnswer = withUse(provider.readAnswer, quotas);
    return {
      ...provider,
      quota: scarcest(quotas),
      quotas,
      readAnnouncement,
      readAnswer,
      estimate: compileEstimates(quotas),
    };
  });
}

/** A quota with the headers that describe it; an entry without a name describes the first quota of the account. */
function withHeaders(
  quota: AccountQuota,
  announcements: ProviderInput['announcements'],
  isFirst: boolean,
): AnnouncedQuota {
  const headers = announcements.find(({ quota: name }) => (name === undefined ? isFirst : name === quota.name));
  return { ...quota, headers };
}

/** The quota that allows the fewest messages in the long run. */
function scarcest(quotas: readonly AccountQuota[]): LimitedPolicy | undefined {
  const rate = (policy: LimitedPolicy): number => limitOf(policy) / periodMsOf(policy);
  const limits = quotas.filter(({ policy }) => policy.policy !== 'concurrency');
  const ofRequests = limits.filter(({ unit }) => unit === REQUESTS);
  const policies = (ofRequests.length > 0 ? ofRequests : limits).map(({ policy }) => policy);
  return policies.toSorted((one, other) => rate(one) - rate(other))[0];
}

/** Masks secrets as they are, and as URLs and JSON write them. */
function redactor(secrets: ReadonlySet<string>): (text: string) => string {
  return (text) => {
    const found = [...secrets].filter((secret) => secret.length >= SECRET_MIN_CHARS && !NO_SECRET.test(secret));
    const forms = found.flatMap((secret) => [
      secret,
      encodeURIComponent(secret),
      new URLSearchParams([['', secret]]).toString().slice(1),
      JSON.stringify(secret).slice(1, -1),
    ]);
    // The longest first: a secret may be a part of another one.
    const inOrder = forms.toSorted((one, other) => other.length - one.length);
    return inOrder.reduce((masked, form) => masked.replaceAll(form, '***'), text);
  };
}
