import type { Spread } from './statistics.js';

/** As long as the median, and how far the rounds lay apart. */
export interface Bar extends Spread {
  name: string;
}

const WIDTH = 760;
const NAMES = 300;
const ROW = 30;
const TOP = 40;
const FIGURES = 70;

/** Horizontal bars as SVG, in the order they are given. */
export function bars({ title, bars: all }: { title: string; bars: readonly Bar[] }): string {
  const most = Math.max(...all.map(({ max }) => max));
  const at = (value: number): number => NAMES + (value / most) * (WIDTH - NAMES - FIGURES);
  const height = TOP + all.length * ROW + 10;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="13">
<rect width="${WIDTH}" height="${height}" fill="#fff"/>
<text x="10" y="24" font-size="15" font-weight="bold">${escaped(title)}</text>
${all.map((bar, row) => barOf(bar, { y: TOP + row * ROW, at })).join('\n')}
</svg>
`;
}

function barOf({ name, median, min, max }: Bar, { y, at }: { y: number; at: (value: number) => number }): string {
  const middle = y + ROW / 2;
  const fill = name.startsWith('octo') ? '#2a6f97' : '#a9b4bd';
  return [
    `<text x="${NAMES - 10}" y="${middle + 4}" text-anchor="end">${escaped(name)}</text>`,
    `<rect x="${NAMES}" y="${y + 5}" width="${rounded(at(median) - NAMES)}" height="${ROW - 10}" fill="${fill}"/>`,
    `<path d="M${rounded(at(min))} ${middle}H${rounded(at(max))}" stroke="#222"/>`,
    `<text x="${rounded(at(max)) + 8}" y="${middle + 4}">${median.toFixed(0)}</text>`,
  ].join('\n');
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
