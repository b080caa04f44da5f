import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { dirname } from 'node:path';

export interface Table {
  title: string;
  columns: readonly string[];
  rows: readonly (readonly string[])[];
  /** Lines below the table: legends, goals. */
  notes?: readonly string[];
}

export interface Results {
  title: string;
  /** As typed, without `--markdown`. */
  command: string;
  tables: readonly Table[];
}

/** `npm run NAME` with its options, as typed, without `--markdown`. */
export function commandOf(name: string, options: readonly string[]): string {
  const file = options.indexOf('--markdown');
  const typed = options.filter((_, index) => file === -1 || index < file || index > file + 1);
  return [`npm run ${name}`, ...(typed.length > 0 ? ['--', ...typed] : [])].join(' ');
}

/** Prints the tables, and writes them to a file if one is given. */
export function publish({ title, command, tables }: Results, { markdown }: { markdown?: string | undefined }): void {
  console.log(tables.map(textOf).join('\n'));
  if (markdown === undefined) return;
  const [cpu] = cpus();
  const machine = `${availableParallelism()} cores of ${cpu?.model ?? 'an unknown CPU'}, Node ${process.versions.node}`;
  const date = new Date().toISOString().slice(0, 10);
  const header = `# ${title}\n\nWritten by \`${command}\` on ${date}: ${machine}.\n`;
  mkdirSync(dirname(markdown), { recursive: true });
  writeFileSync(markdown, [header, ...tables.map(markdownOf)].join('\n'));
}

export function textOf({ title, columns, rows, notes = [] }: Table): string {
  const lines = [columns, ...rows];
  const widths = columns.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)));
  const pad = (text: string, column: number): string =>
    isNumeric(rows, column) ? text.padStart(widths[column] ?? 0) : text.padEnd(widths[column] ?? 0);
  return [title, ...lines.map((cells) => cells.map(pad).join('  ').trimEnd()), ...notes, ''].join('\n');
}

export function markdownOf({ title, columns, rows, notes = [] }: Table): string {
  const marks = columns.map((_, column) => (isNumeric(rows, column) ? '--:' : ':--'));
  const table = [columns, marks, ...rows].map((cells) => `| ${cells.join(' | ')} |`);
  return [`## ${title}`, '', ...table, '', ...notes.map((note) => `- ${note}`), ''].join('\n');
}

/** Numbers are aligned to the right. */
function isNumeric(rows: Table['rows'], column: number): boolean {
  return rows.every((cells) => /^(-?\d.*|-|)$/.test(cells[column] ?? ''));
}
