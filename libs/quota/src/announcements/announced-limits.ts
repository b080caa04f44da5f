import { parseDictionary, parseList } from 'structured-headers';
import { countOf, durationMsOf } from './announced-values.js';

/** Names in lower case, as Node provides them. */
export type AnsweredHeaders = Readonly<Record<string, unknown>>;

/** What an answer says of one limit of the provider. Absent or implausible fields are left out. */
export interface AnnouncedLimit {
  /** As the provider calls it. */
  name?: string;
  /** What is counted, if it is not requests. */
  unit?: string;
  limit?: number;
  remaining?: number;
  /** Until requests become available, in milliseconds. Providers round to whole seconds, up or down. */
  resetMs?: number;
  windowMs?: number;
}

/** Header names that hold the fields of one limit. */
export type LimitHeaders = Partial<Record<'limit' | 'remaining' | 'reset', string | undefined>>;

const WINDOWS_MS: Record<string, number> = { second: 1_000, minute: 60_000, hour: 3_600_000, day: 86_400_000 };

/** `RateLimit-Remaining`, `X-RateLimit-Reset-Tokens`, `X-Rate-Limit-Limit`, … */
const SEPARATE = /^(?:x-)?rate-?limit-(limit|remaining|reset)(?:-(after|requests|tokens|second|minute|hour|day))?$/;

/**
 * The limits that an answer describes: by `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers), by the
 * dictionary of that draft's early versions, and by the separate fields `RateLimit-*`, `X-RateLimit-*`, `X-Rate-Limit-*`.
 * @param nowMs the time on the provider's clock; NaN if it is unknown
 */
export function readLimits(headers: AnsweredHeaders, nowMs: number): AnnouncedLimit[] {
  const structured = textOf(headers, 'ratelimit');
  const limits = structured === undefined ? [] : readStructured(structured, textOf(headers, 'ratelimit-policy') ?? '');
  // Providers that send both say the same in both.
  return limits.length > 0 ? limits : readSeparate(headers, nowMs);
}

/** The limit that these headers describe. */
export function readMapped(headers: AnsweredHeaders, names: LimitHeaders, nowMs: number): AnnouncedLimit {
  const text = (name: string | undefined): string | undefined =>
    name === undefined ? undefined : textOf(headers, name.toLowerCase());
  return limitOfTexts({ limit: text(names.limit), remaining: text(names.remaining), reset: text(names.reset) }, nowMs);
}

export function textOf(headers: AnsweredHeaders, name: string): string | undefined {
  const value = headers[name];
  if (Array.isArray(value)) return value.join(', ');
  return typeof value === 'string' ? value.trim() : undefined;
}

interface StructuredItem {
  name: unknown;
  parameters: ReadonlyMap<string, unknown>;
}

/** Cache of one: a provider repeats the same policies in every answer. */
let lastPolicies = { value: '', items: [] as StructuredItem[] };

function policiesOf(value: string): StructuredItem[] {
  if (value !== lastPolicies.value) lastPolicies = { value, items: parseItems(value) };
  return lastPolicies.items;
}

function readStructured(value: string, policies: string): AnnouncedLimit[] {
  const items = parseItems(value).filter(({ parameters }) => isCount(parameters.get('r')));
  if (items.length === 0) return readDictionary(value);
  const known = policiesOf(policies);
  return items.map(({ name, parameters }) => {
    const policy = known.find((item) => item.name === name)?.parameters;
    const unit = policy?.get('qu');
    const limit: AnnouncedLimit = { name: String(name) };
    if (typeof unit === 'string' && unit !== 'requests') limit.unit = unit;
    set(limit, 'remaining', parameters.get('r'));
    set(limit, 'resetMs', parameters.get('t'), 1_000);
    set(limit, 'limit', policy?.get('q'));
    set(limit, 'windowMs', policy?.get('w'), 1_000);
    return limit;
  });
}

function parseItems(value: string): StructuredItem[] {
  try {
    return parseList(value).map(([name, parameters]) => ({ name, parameters }));
  } catch {
    // Not a structured field as in the draft: treat as absent.
    return [];
  }
}

/** `limit=10, remaining=0, reset=9`. */
function readDictionary(value: string): AnnouncedLimit[] {
  try {
    const fields = new Map([...parseDictionary(value)].map(([name, [item]]) => [name, item]));
    if (!isCount(fields.get('remaining'))) return [];
    const limit: AnnouncedLimit = {};
    set(limit, 'limit', fields.get('limit'));
    set(limit, 'remaining', fields.get('remaining'));
    set(limit, 'resetMs', fields.get('reset'), 1_000);
    return [limit];
  } catch {
    return [];
  }
}

type Texts = Record<'limit' | 'remaining' | 'reset', string | undefined>;

function readSeparate(headers: AnsweredHeaders, nowMs: number): AnnouncedLimit[] {
  const families = new Map<string, Texts>();
  for (const header of Object.keys(headers)) {
    const [, field, suffix = ''] = (header.includes('rate') && SEPARATE.exec(header)) || [];
    if (field === undefined) continue;
    // `X-RateLimit-Reset-After` is the reset of the family without a suffix.
    const family = suffix === 'after' ? '' : suffix;
    const texts = families.get(family) ?? { limit: undefined, remaining: undefined, reset: undefined };
    texts[field as keyof Texts] ??= textOf(headers, header);
    families.set(family, texts);
  }
  return [...families].flatMap(([family, texts]) =>
    listsOf(texts).map((one) => Object.assign(limitOfTexts(one, nowMs), kindOf(family))),
  );
}

function kindOf(family: string): AnnouncedLimit {
  const windowMs = WINDOWS_MS[family];
  if (windowMs !== undefined) return { windowMs };
  return family === 'tokens' ? { unit: 'tokens' } : {};
}

/** One value for each window, separated by commas. A date has a comma too. */
function listsOf({ limit, remaining, reset }: Texts): Texts[] {
  const remainings = remaining?.split(',').map((text) => text.trim()) ?? [];
  if (remainings.length < 2) return [{ limit, remaining, reset }];
  const limits = limit?.split(',').map((text) => text.trim()) ?? [];
  const resets = reset?.split(',').map((text) => text.trim()) ?? [];
  return remainings.map((text, index) => ({ limit: limits[index], remaining: text, reset: resets[index] }));
}

function limitOfTexts({ limit, remaining, reset }: Texts, nowMs: number): AnnouncedLimit {
  const found: AnnouncedLimit = {};
  set(found, 'limit', countOf(limit));
  set(found, 'remaining', countOf(remaining));
  set(found, 'resetMs', durationMsOf(reset, nowMs));
  return found;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** Not by spreads: they cost several µs a message. */
function set(
  limit: AnnouncedLimit,
  field: 'limit' | 'remaining' | 'resetMs' | 'windowMs',
  value: unknown,
  factor = 1,
): void {
  if (isCount(value)) limit[field] = value * factor;
}
