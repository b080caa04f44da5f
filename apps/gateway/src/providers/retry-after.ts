/**
 * How long a provider asks us to stay away, in milliseconds (RFC 9110, 10.2.3: seconds or an HTTP date).
 * Whole seconds may have been rounded down: a second is added so that nobody comes back early.
 * A date is measured against the answer's own `Date`, as clocks differ. Undefined when absent, past or absurd.
 */
export function retryAfterMs(headers: Record<string, unknown>): number | undefined {
  const value = headers['retry-after'];
  if (typeof value !== 'string') return undefined;
  if (/^\d{1,8}$/.test(value)) return value === '0' ? undefined : (Number(value) + 1) * 1_000 - 1;
  const dateMs = Date.parse(value);
  const answeredMs = typeof headers['date'] === 'string' ? Date.parse(headers['date']) : Date.now();
  const waitMs = dateMs - answeredMs + 999;
  return Number.isFinite(waitMs) && waitMs > 999 ? waitMs : undefined;
}
