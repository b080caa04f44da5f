/** A year. A larger number of seconds is a time, not a duration. */
const LONGEST_RESET_S = 366 * 86_400;
const SECOND_MS = 1_000;
const UNIT_MS: Record<string, number> = { ms: 1, s: SECOND_MS, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `6m0s`, `1m30s`, `500ms`, `2h`, `1.5s`. */
const DURATION = /^(?:\d+(?:\.\d+)?(?:ms|[smhd]))+$/;
const DURATION_PART = /(\d+(?:\.\d+)?)(ms|[smhd])/g;
const NUMBER = /^\d{1,15}(?:\.\d{1,9})?$/;
/** RFC 3339, and the dates of RFC 9110, which begin with the name of a day. */
const INSTANT = /^(?:\d{4}-\d\d-\d\d[T ]|[A-Z][a-z]{2,8}, ?)/;

/** A whole number of requests or tokens; undefined for any other text. */
export function countOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/**
 * Reads a wait or a reset in any form in use: seconds, a duration with units, seconds or milliseconds since 1970, a date.
 * @param nowMs the time on the provider's clock; NaN if it is unknown, and times are then ignored
 * @returns milliseconds from now; undefined for what is no time, or a time that has passed or is over a year away
 */
export function durationMsOf(text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined) return undefined;
  if (NUMBER.test(text)) return ofNumber(Number(text), nowMs);
  if (DURATION.test(text)) return plausible(ofParts(text));
  return INSTANT.test(text) ? plausible(Date.parse(text) - nowMs) : undefined;
}

/** Milliseconds in whole or decimal milliseconds, as `Retry-After-Ms` has them. */
export function millisecondsOf(text: string | undefined): number | undefined {
  return text !== undefined && NUMBER.test(text) ? plausible(Math.ceil(Number(text))) : undefined;
}

function ofNumber(value: number, nowMs: number): number | undefined {
  // A fraction of a second is rounded up: the provider may have been about to count it.
  if (value <= LONGEST_RESET_S) return Math.ceil(value) * SECOND_MS;
  // Milliseconds since 1970 have had thirteen digits since 2001.
  return plausible((value >= 1e12 ? value : value * SECOND_MS) - nowMs);
}

function ofParts(text: string): number {
  const parts = [...text.matchAll(DURATION_PART)];
  return Math.ceil(parts.reduce((sum, [, value, unit = '']) => sum + Number(value) * (UNIT_MS[unit] ?? 0), 0));
}

function plausible(ms: number): number | undefined {
  return ms >= 0 && ms <= LONGEST_RESET_S * SECOND_MS ? ms : undefined;
}
