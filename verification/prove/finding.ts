import type { ProviderStats } from '#contracts';
import type { Table } from '../testbed/results.js';

/** What one part of the proof found. */
export interface Finding {
  title: string;
  figures: readonly (readonly [name: string, value: string | number])[];
  goals: readonly (readonly [isMet: boolean, goal: string])[];
}

/** From a reopening to its first use, at most, on a busy machine. */
export const LAG_MAX_MS = 1_000;

export function tableOf({ title, figures, goals }: Finding): Table {
  const rows = figures.map(([name, value]) => [name, String(value)]);
  const notes = goals.flatMap(([isMet, goal]) => (isMet ? [] : `MISSED: ${goal}`));
  return { title, columns: ['', 'found'], rows, notes };
}

/** From each reopening to the first request that the provider accepted after it. */
export function reopeningLags({ windows }: ProviderStats): number[] {
  return windows.slice(1).map(({ startedAt }, index) => {
    const { reopensAt } = windows[index] ?? {};
    return Date.parse(startedAt) - Date.parse(reopensAt ?? startedAt);
  });
}
