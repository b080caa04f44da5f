import { parseList } from 'structured-headers';

/** What a provider's answer announces about its quota. Absent or implausible fields are left out. */
export interface Announcement {
  /** How long to wait before the next request, in milliseconds. Providers round to whole seconds, up or down. */
  retryAfterMs?: number;
  /** Requests left in the window. */
  remaining?: number;
  /** Until requests become available, in milliseconds, rounded like `retryAfterMs`. */
  resetMs?: number;
  /** Requests per window. Not used unless `windowMs` is announced too. */
  limit?: number;
  windowMs?: number;
}

/** Names in lower case, as Node provides them. */
export type AnsweredHeaders = Readonly<Record<string, unknown>>;

/** A year. A larger number of seconds is a time, not a duration. */
const LONGEST_RESET_S = 366 * 86_400;

/**
 * Reads what providers announce about their quotas: `Retry-After` (RFC 9110, 10.2.3), `RateLimit` and `RateLimit-Policy`
 * (draft-ietf-httpapi-ratelimit-headers), and the older separate fields `RateLimit-Limit`, `-Remaining`, `-Reset`, with
 * or without `X-`, whose reset may be seconds, seconds since 1970 or milliseconds since 1970.
 * Times are compared with the answer's own `Date`, because clocks differ; without a `Date` they are ignored.
 * Undefined when the headers announce nothing.
 */
export function readAnnouncement(headers: AnsweredHeaders): Announcement | undefined {
  const announced: Announcement = readStructured(headers) ?? readSeparate(headers);
  const retryAfterMs = readRetryAfter(headers);
  if (retryAfterMs !== undefined) announced.retryAfterMs = retryAfterMs;
  return Object.keys(announced).length === 0 ? undefined : announced;
}

/** The time on the provider's clock; `NaN` without a `Date`. */
function nowMsOf(headers: AnsweredHeaders): number {
  return Date.parse(textOf(headers, 'date') ?? '');
}

function readRetryAfter(headers: AnsweredHeaders): number | undefined {
  const value = textOf(headers, 'retry-after');
  if (value === undefined) return undefined;
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1_000;
  const waitMs = Date.parse(value) - nowMsOf(headers);
  // NaN without a `Date`, and negative when a clock is wrong: ignore both.
  return Number.isFinite(waitMs) && waitMs > 0 ? waitMs : undefined;
}

/** Of several limits, the one with the fewest requests left applies. */
function readStructured(headers: AnsweredHeaders): Announcement | undefined {
  const value = textOf(headers, 'ratelimit');
  if (value === undefined) return undefined;
  const tightest = parse(value)
    .map(({ name, parameters }) => ({ name, remaining: countOf(parameters.get('r')), reset: parameters.get('t') }))
    .filter((limit): limit is typeof limit & { remaining: number } => limit.remaining !== undefined)
    .toSorted((one, other) => one.remaining - other.remaining)[0];
  if (tightest === undefined) return undefined;
  const parameters = policiesOf(textOf(headers, 'ratelimit-policy') ?? '').find(
    ({ name }) => name === tightest.name,
  )?.parameters;
  const windowS = countOf(parameters?.get('w'));
  return {
    remaining: tightest.remaining,
    ...optional('resetMs', inMs(countOf(tightest.reset))),
    ...optional('limit', countOf(parameters?.get('q'))),
    ...optional('windowMs', inMs(windowS)),
  };
}

interface StructuredItem {
  name: unknown;
  parameters: ReadonlyMap<string, unknown>;
}

/** Cache of one: a provider repeats the same policies in every answer. */
let lastPolicies = { value: '', items: [] as StructuredItem[] };

function policiesOf(value: string): StructuredItem[] {
  if (value !== lastPolicies.value) lastPolicies = { value, items: parse(value) };
  return lastPolicies.items;
}

function parse(value: string): StructuredItem[] {
  try {
    return parseList(value).map(([name, parameters]) => ({ name, parameters }));
  } catch {
    // Not a structured field as in the draft: treat as absent.
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
