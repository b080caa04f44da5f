import type { Usage } from '#contracts';

type Row = NonNullable<Usage['series']>[number];
export type Grouping = 'day' | 'provider' | 'channel';

export interface Bar {
  key: string;
  free: number;
  paid: number;
}

/** A bar for each row. Between the first day and the last, days without messages have one too. */
export function barsOf(series: readonly Row[], by: Grouping): Bar[] {
  const bars = series.map((row) => ({ key: row[by] ?? '', free: row.free.count, paid: row.paid.count }));
  const [first, last] = [bars[0], bars.at(-1)];
  if (by !== 'day' || first === undefined || last === undefined) return bars;
  const known = new Map(bars.map((bar) => [bar.key, bar]));
  return daysBetween(first.key, last.key).map((key) => known.get(key) ?? { key, free: 0, paid: 0 });
}

function daysBetween(first: string, last: string): string[] {
  const days: string[] = [];
  for (let day = first; day <= last; day = dayAfter(day)) days.push(day);
  return days;
}

/** @param day such as `2026-11-28` */
export function dayAfter(day: string): string {
  return new Date(Date.parse(day) + 86_400_000).toISOString().slice(0, 10);
}

/** Which bars have a label, where one needs `labelPx`: the first, and as many others as have space. */
export function labelled(count: number, { widthPx, labelPx }: { widthPx: number; labelPx: number }): number[] {
  const step = Math.max(1, Math.ceil((count * labelPx) / Math.max(1, widthPx)));
  return Array.from({ length: Math.ceil(count / step) }, (_, index) => index * step);
}
