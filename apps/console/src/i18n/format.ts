import { locale } from './i18n.js';

const cache = new Map<string, unknown>();

/** Formatters are expensive to make, and the page makes the same ones every second. */
function cached<Formatter>(key: string, make: (tag: string) => Formatter): Formatter {
  const name = `${locale.value} ${key}`;
  const known = cache.get(name) as Formatter | undefined;
  if (known !== undefined) return known;
  const made = make(locale.value);
  cache.set(name, made);
  return made;
}

export function number(value: number, digits = 0): string {
  return cached(`n${digits}`, (tag) => new Intl.NumberFormat(tag, { maximumFractionDigits: digits })).format(value);
}

/** An amount in millionths of a currency. Small prices keep all their digits. */
export function money(micros: number, currency: string): string {
  const format = cached(`m${currency}`, (tag) => {
    return new Intl.NumberFormat(tag, {
      style: 'currency',
      currency,
      currencyDisplay: 'narrowSymbol',
      minimumFractionDigits: 2,
      maximumFractionDigits: 6,
    });
  });
  return format.format(micros / 1_000_000);
}

/** With seconds and time zone: what a log has. */
export function exactTime(at: Date): string {
  return cached('exact', (tag) => new Intl.DateTimeFormat(tag, { dateStyle: 'medium', timeStyle: 'long' })).format(at);
}

export function clockTime(at: Date): string {
  return cached('clock', (tag) => new Intl.DateTimeFormat(tag, { timeStyle: 'medium' })).format(at);
}

/** A day such as `2026-11-28`, which is not of this time zone. */
export function day(isoDay: string): string {
  return cached('day', (tag) => new Intl.DateTimeFormat(tag, { dateStyle: 'medium', timeZone: 'UTC' })).format(
    new Date(isoDay),
  );
}

/** The same without the year. */
export function shortDay(isoDay: string): string {
  return cached('shortDay', (tag) => {
    return new Intl.DateTimeFormat(tag, { day: 'numeric', month: 'short', timeZone: 'UTC' });
  }).format(new Date(isoDay));
}

const UNITS = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1_000],
] as const;

/** `5 seconds ago`, `in 2 minutes`. */
export function relativeTime(at: Date, now: number): string {
  const deltaMs = at.getTime() - now;
  const [largest, unitMs] = UNITS.find(([, ms]) => Math.abs(deltaMs) >= ms) ?? ['second', 1_000];
  const format = cached('relative', (tag) => new Intl.RelativeTimeFormat(tag, { numeric: 'auto' }));
  return format.format(Math.trunc(deltaMs / unitMs), largest);
}

/** The two largest units: `1 min 5 sec`. Below a second, milliseconds. */
export function duration(ms: number): string {
  if (Math.abs(ms) < 1_000) return unit(ms < 10 ? Math.round(ms * 10) / 10 : Math.round(ms), 'millisecond');
  if (ms < 10_000 && ms % 1_000 !== 0) return unit(Math.round(ms / 100) / 10, 'second');
  let rest = Math.round(ms / 1_000) * 1_000;
  const parts: string[] = [];
  for (const [name, unitMs] of UNITS) {
    const count = Math.floor(rest / unitMs);
    rest -= count * unitMs;
    if (count > 0) parts.push(unit(count, name));
  }
  return parts.slice(0, 2).join(' ');
}

function unit(value: number, name: 'day' | 'hour' | 'minute' | 'second' | 'millisecond'): string {
  return cached(`u${name}`, (tag) => {
    return new Intl.NumberFormat(tag, { style: 'unit', unit: name, unitDisplay: 'short', maximumFractionDigits: 1 });
  }).format(value);
}
