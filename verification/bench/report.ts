import { medianOf } from '../testbed/median.js';
import type { Table } from '../testbed/results.js';

/** One row for each name: the median of its rounds, and the range in brackets. */
export interface Column<Sample> {
  title: string;
  digits: number;
  of: (sample: Sample) => number;
}

/** A figure with a bound. Mostly a ratio within one run: machines differ, ratios hardly do. */
export interface Goal {
  name: string;
  value: number;
  atMost?: number;
  atLeast?: number;
}

export type Rounds<Sample> = ReadonlyMap<string, readonly Sample[]>;

export function tableOf<Sample>(
  title: string,
  columns: readonly Column<Sample>[],
  samples: Rounds<Sample>,
  goals: readonly Goal[],
): Table {
  const rows = [...samples].map(([name, rounds]) =>
    [name].concat(columns.map(({ of, digits }) => spreadText(rounds.map(of), digits))),
  );
  const titles = columns.map((column) => column.title);
  return { title: `${title}: median (least to most)`, columns: ['', ...titles], rows, notes: goals.map(lineOf) };
}

/** The ratios of two names, round by round; none if one of them was not measured. */
export function ratiosOf<Sample>(
  samples: Rounds<Sample>,
  [one, other]: readonly [one: string, other: string],
  of: (sample: Sample) => number,
): number[] {
  const others = samples.get(other) ?? [];
  return (samples.get(one) ?? []).flatMap((sample, round) => {
    const beside = others[round];
    return beside === undefined ? [] : of(sample) / of(beside);
  });
}

function spreadText(values: readonly number[], digits: number): string {
  const [middle, least, most] = [medianOf(values), Math.min(...values), Math.max(...values)].map((value) =>
    value.toFixed(digits),
  );
  return least === most ? String(middle) : `${middle} (${least} to ${most})`;
}

function lineOf({ name, value, atMost = Infinity, atLeast = -Infinity }: Goal): string {
  const goal = atMost === Infinity ? `at least ${atLeast}` : `at most ${atMost}`;
  const isMet = value <= atMost && value >= atLeast;
  return `${name}: ${value.toFixed(2)} (goal: ${goal}${isMet ? '' : ': MISSED'})`;
}
