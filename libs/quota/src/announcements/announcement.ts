import { parseList } from 'structured-headers';

/** What a provider's answer says of its quota. Fields it did not say, or not credibly, are left out. */
export interface Announcement {
  /** How long to stay away, in milliseconds, as said: whole seconds may have been rounded either way. */
  retryAfterMs?: number;
  /** Requests left. */
  remaining?: number;
  /** Until more are left, in milliseconds, as said. */
  resetMs?: number;
  /** Requests of a whole window, told together with `windowMs` or not believed. */
  limit?: number;
  windowMs?: number;
}

/** Names in lower case, as Node gives them. */
export type AnsweredHeaders = Readonly<Record<string, unknown>>;

/** Beyond this a number is an instant, not a duration: a year in seconds. */
const LONGEST_RESET_S = 366 * 86_400;

/**
 * Reads what providers say of their quotas: `Retry-After` (RFC 9110, 10.2.3), `RateLimit` and `RateLimit-Policy`
 * (draft-ietf-httpapi-ratelimit-headers), and before they were structured, `RateLimit-Limit`, `-Remaining`, `-Reset` and
 * the same with `X-`, whose reset may be seconds, seconds since 1970 or milliseconds since 1970.
 * Instants are measured against the answer's own `Date`, as clocks differ; without one they say nothing.
 * Undefined when nothing is said.
 */
export function readAnnouncement(headers: AnsweredHeaders): Announcement | undefined {
  const said: Announcement = readStructured(headers) ?? readSeparate(headers);
  const retryAfterMs = readRetryAfter(headers);
  if (retryAfterMs !== undefined) said.retryAfterMs = retryAfterMs;
  return Object.keys(said).length === 0 ? undefined : said;
}

/** By the provider's clock; `NaN` when it did not tell. */
function nowMsOf(headers: AnsweredHeaders): number {
  return Date.parse(textOf(headers, 'date') ?? '');
}

function readRetryAfter(headers: AnsweredHeaders): number | undefined {
  const value = textOf(headers, 'retry-after');
  if (value === undefined) return undefined;
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1_000;
  const waitMs = Date.parse(value) - nowMsOf(headers);
  // No number without a `Date`; past when a clock is wrong: nothing is said then.
  return Number.isFinite(waitMs) && waitMs > 0 ? waitMs : undefined;
}

/** Of several policies the one with the least left counts. */
function readStructured(headers: AnsweredHeaders): Announcement | undefined {
  const value = textOf(headers, 'ratelimit');
  if (value === undefined) return undefined;
  const told = parse(value)
    .map(({ name, parameters }) => ({ name, remaining: countOf(parameters.get('r')), reset: parameters.get('t') }))
    .filter((limit): limit is typeof limit & { remaining: number } => limit.remaining !== undefined)
    .toSorted((one, other) => one.remaining - other.remaining)[0];
  if (told === undefined) return undefined;
  const parameters = policiesOf(textOf(headers, 'ratelimit-policy') ?? '').find(
    ({ name }) => name === told.name,
  )?.parameters;
  const windowS = countOf(parameters?.get('w'));
  return {
    remaining: told.remaining,
    ...optional('resetMs', inMs(countOf(told.reset))),
    ...optional('limit', countOf(parameters?.get('q'))),
    ...optional('windowMs', inMs(windowS)),
  };
}

interface StructuredItem {
  name: unknown;
  parameters: ReadonlyMap<string, unknown>;
}

/** What was read last: a provider says the same with every answer. */
let lastPolicies = { value: '', items: [] as StructuredItem[] };

function policiesOf(value: string): StructuredItem[] {
  if (value !== lastPolicies.value) lastPolicies = { value, items: parse(value) };
  return lastPolicies.items;
}

function parse(value: string): StructuredItem[] {
  try {
    return parseList(value).map(([name, parameters]) => ({ name, parameters }));
  } catch {
    // Not the structure the draft describes: as good as not said.
    return [];
  }
}

function readSeparate(headers: AnsweredHeaders): Announcement {
  const field = (name: string): number | undefined => {
    const value = textOf(headers, `ratelimit-${name}`) ?? textOf(headers, `x-ratelimit-${name}`);
    return value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : undefined;
  };
  const remaining = field('remaining');
  if (remaining === undefined) return {};
  return { remaining, ...optional('resetMs', durationOf(field('reset'), headers)) };
}

function durationOf(reset: number | undefined, headers: AnsweredHeaders): number | undefined {
  if (reset === undefined) return undefined;
  if (reset <= LONGEST_RESET_S) return reset * 1_000;
  // Milliseconds since 1970 have had thirteen digits since 2001.
  const leftMs = (reset >= 1e12 ? reset : reset * 1_000) - nowMsOf(headers);
  return leftMs >= 0 && leftMs <= LONGEST_RESET_S * 1_000 ? leftMs : undefined;
}

function inMs(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1_000;
}

function countOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

function textOf(headers: AnsweredHeaders, name: string): string | undefined {
  const value = headers[name];
  if (Array.isArray(value)) return value.join(', ');
  return typeof value === 'string' ? value.trim() : undefined;
}

function optional<Name extends string>(name: Name, value: number | undefined): { [name in Name]?: number } {
  return (value === undefined ? {} : { [name]: value }) as { [name in Name]?: number };
}
