import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { dirname } from 'node:path';
import type { Spread } from './statistics.js';

/** What a benchmark found. */
export interface Report {
  title: string;
  columns: readonly string[];
  /** Decimals of each column. */
  digits: readonly number[];
  rows: readonly { name: string; figures: readonly Spread[] }[];
  ratios: readonly Ratio[];
}

/** What is compared is of one run: machines differ, ratios hardly do. */
export interface Ratio {
  name: string;
  value: number;
  /** The most, or the least, it should be; undefined where nothing was promised. */
  atMost?: number;
  atLeast?: number;
}

export interface Outputs {
  json?: string | undefined;
  markdown?: string | undefined;
}

/** Prints it, and writes it where it is wanted. */
export function publish(report: Report, { json, markdown }: Outputs): void {
  console.log(tableOf(report));
  const machine = { cpu: cpus()[0]?.model, cpus: availableParallelism(), node: process.versions.node };
  if (json !== undefined)
    write(json, JSON.stringify({ date: new Date().toISOString(), machine, ...report }, undefined, 2));
  if (markdown !== undefined) write(markdown, markdownOf(report));
}

export function isMet({ value, atMost = Infinity, atLeast = -Infinity }: Ratio): boolean {
  return value <= atMost && value >= atLeast;
}

function tableOf(report: Report): string {
  const cells = [
    ['', ...report.columns],
    ...report.rows.map((row) => [row.name, ...textsOf(row.figures, report.digits)]),
  ];
  const widths = cells[0]?.map((_, column) => Math.max(...cells.map((line) => line[column]?.length ?? 0))) ?? [];
  const pad = (text: string, column: number): string =>
    column === 0 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0);
  const lines = cells.map((line) => line.map(pad).join('  '));
  return [`\n${report.title}: median (min to max)`, ...lines, ...report.ratios.map(lineOf), ''].join('\n');
}

function markdownOf({ columns, digits, rows, ratios }: Report): string {
  const lines = [
    ['', ...columns],
    [':--', ...columns.map(() => '--:')],
    ...rows.map(({ name, figures }) => [name, ...textsOf(figures, digits)]),
  ];
  const table = lines.map((line) => `| ${line.join(' | ')} |`);
  return [...table, '', ...ratios.map((ratio) => `- ${lineOf(ratio)}`), ''].join('\n');
}

function textsOf(figures: readonly Spread[], digits: readonly number[]): string[] {
  return figures.map(({ median, min, max }, column) => {
    const [middle, least, most] = [median, min, max].map((value) => value.toFixed(digits[column] ?? 0));
    return least === most ? String(middle) : `${middle} (${least} to ${most})`;
  });
}

function lineOf(ratio: Ratio): string {
  const { name, value, atMost, atLeast } = ratio;
  const wanted = [
    ...(atMost === undefined ? [] : [`at most ${atMost}`]),
    ...(atLeast === undefined ? [] : [`at least ${atLeast}`]),
  ];
  const verdict = wanted.length === 0 ? '' : ` (wanted: ${wanted.join(', ')}${isMet(ratio) ? '' : ': MISSED'})`;
  return `${name}: ${value.toFixed(2)}${verdict}`;
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
