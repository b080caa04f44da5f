import type { ProviderStats } from '#contracts';
import type { Evidence, Verdict } from './judge.js';
import type { JournalRow } from '../journal.js';
import { KINDS, type KindName } from './plan.js';

export interface Course {
  strikes: Record<'pod' | 'redis' | 'postgres', number>;
  seed: number;
  tookMs: number;
}

/** A message paid for when the free provider had been open for longer than this had a slot that nobody could have missed. */
const OPEN_FOR_MS = 300;

/** What was sent, what came back, and what became of it. */
export function report(evidence: Evidence, verdict: Verdict, course: Course): string {
  return [...answersTable(evidence), '', ...figures(evidence, verdict, course)].join('\n');
}

function answersTable({ sent }: Evidence): string[] {
  const kinds = Object.keys(KINDS) as KindName[];
  const outcomes = [...new Set(sent.map(({ outcome }) => String(outcome)))].toSorted();
  const line = (title: string, cells: (string | number)[]): string =>
    title.padEnd(24) + cells.map((cell) => String(cell).padStart(9)).join('');
  const row = (title: string, own: Evidence['sent']): string => {
    const counts = outcomes.map((name) => own.filter(({ outcome }) => String(outcome) === name).length);
    return line(title, [own.length, callsOf(own), ...counts]);
  };
  const rows = kinds.map((kind) =>
    row(
      kind,
      sent.filter((message) => message.kind === kind),
    ),
  );
  return [line('answered', ['messages', 'calls', ...outcomes]), ...rows, row('all', sent)];
}

function figures({ journal, accepted, freeStats }: Evidence, verdict: Verdict, course: Course): string[] {
  const { strikes } = course;
  const count = (is: (row: JournalRow) => boolean): number => journal.filter(is).length;
  const delivered = (name: string): number =>
    count(({ status, provider }) => status === 'delivered' && provider === name);
  const offences = (...goals: string[]): number => verdict.offences.filter(({ goal }) => goals.includes(goal)).length;
  const doubts = (what: string): number => verdict.doubts.filter((doubt) => doubt.what === what).length;
  const takeOvers = journal.flatMap(takeOverMs);
  const openMs = accepted.paid.filter(({ acceptedAt }) => wasOpen(freeStats, Date.parse(acceptedAt))).length;
  const lines: [string, string | number][] = [
    ['pods killed', strikes.pod],
    ['Redis, Postgres crashed', `${strikes.redis}, ${strikes.postgres}`],
    ['delivered free, paid', `${delivered('free')}, ${delivered('paid')}`],
    [
      'failed, expired',
      `${count(({ status }) => status === 'failed')}, ${count(({ status }) => status === 'expired')}`,
    ],
    ['unknown', `${doubts('unknown')}, and ${doubts('twice')} accepted by both after no answer came`],
    ['sent, not recorded', `${verdict.unrecorded.length}, without a key, their senders cut off`],
    ['lost', offences('lost', 'not recorded', 'unfinished')],
    ['twice', offences('twice')],
    ['refused by free', freeStats.refused],
    ['paid while free was open', openMs],
    ['late', count(({ status, deliver_by, finished_at }) => status === 'delivered' && isLate(deliver_by, finished_at))],
    ['taken over', `${takeOvers.length}, the longest finished after ${seconds(Math.max(0, ...takeOvers))}`],
    ['took', seconds(course.tookMs)],
  ];
  return lines.map(([title, value]) => `${title.padEnd(26)}${value}`);
}

/** From the last that was heard of the pod that died until the message was over. */
function takeOverMs({ hops, finished_at: finishedAt }: JournalRow): number[] {
  const first = hops.findIndex(({ step }) => step === 'taken_over');
  const before = hops[first - 1];
  return before === undefined || finishedAt === null ? [] : [finishedAt.getTime() - Date.parse(before.at)];
}

function wasOpen({ windows }: ProviderStats, atMs: number): boolean {
  const reopenedMs = windows.flatMap(({ reopensAt }) => (reopensAt === null ? [] : Date.parse(reopensAt)));
  const isBlocked = windows.some(
    ({ blockedAt, reopensAt }) =>
      blockedAt !== null && reopensAt !== null && Date.parse(blockedAt) <= atMs && atMs < Date.parse(reopensAt),
  );
  return !isBlocked && reopenedMs.every((reopened) => reopened > atMs || reopened + OPEN_FOR_MS <= atMs);
}

function isLate(deliverBy: Date | null, finishedAt: Date | null): boolean {
  return deliverBy !== null && finishedAt !== null && finishedAt > deliverBy;
}

function callsOf(sent: Evidence['sent']): number {
  return sent.reduce((sum, { answers }) => sum + answers.length, 0);
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
