/** What a part of the proof found. */
export interface Finding {
  title: string;
  /** Aligned already, or a name and a figure. */
  lines: readonly (string | readonly [string, string | number])[];
  /** Goals that were not reached, each with what was seen. */
  missed: readonly string[];
}

const NAME_WIDTH = 42;

export function reportOf({ title, lines, missed }: Finding): string {
  const aligned = lines.map((line) => (typeof line === 'string' ? line : line[0].padEnd(NAME_WIDTH) + String(line[1])));
  return [title, ...aligned, ...missed.map((goal) => `MISSED: ${goal}`), ''].join('\n');
}
