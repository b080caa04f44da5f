import type { JournalRow } from '../../testbed/journal.js';
import type { Table } from '../../testbed/results.js';
import type { PlannedFault } from './crash-plan.js';
import { type Evidence, GOALS, type Verdict } from './verdict.js';

export interface Course {
  injected: Record<PlannedFault['target'], number>;
  tookMs: number;
}

/** What happened to the messages, and the missed goals. */
export function outcomeTable({ sent, journal, freeStats }: Evidence, verdict: Verdict, course: Course): Table {
  const { injected, tookMs } = course;
  const ended = (status: JournalRow['status'], provider?: string): number =>
    journal.filter((row) => row.status === status && (provider === undefined || row.provider === provider)).length;
  const violations = (...goals: string[]): number =>
    verdict.violations.filter(({ goal }) => goals.includes(goal)).length;
  const doubts = (what: string): number => verdict.doubts.filter((doubt) => doubt.what === what).length;
  const takeOverMs = journal.flatMap(takeOverMsOf);
  const outcomes = [...new Set(sent.map(({ outcome }) => String(outcome)))].toSorted();
  const rows: [string, number | string][] = [
    ['calls', sent.reduce((sum, { answers }) => sum + answers.length, 0)],
    ...outcomes.map((status): [string, number] => [
      `answered ${status} in the end`,
      sent.filter(({ outcome }) => String(outcome) === status).length,
    ]),
    ['pods killed', injected.pod],
    ['Redis, Postgres crashed', `${injected.redis}, ${injected.postgres}`],
    ['delivered free', ended('delivered', 'free')],
    ['delivered paid', ended('delivered', 'paid')],
    ['failed', ended('failed')],
    ['expired', ended('expired')],
    ['unknown', doubts('unknown')],
    ['accepted by both providers after an unknown outcome', doubts('twice')],
    ['sent without a record: no key, and the call was cut off', verdict.unrecorded.length],
    ['lost', violations('lost', 'not recorded', 'unfinished')],
    ['sent twice', violations('twice')],
    ['refused by the free provider', freeStats.refused],
    ['delivered after the deadline', journal.filter(isLate).length],
    ['taken over by another pod', takeOverMs.length],
    ['longest take-over, s', (Math.max(0, ...takeOverMs) / 1_000).toFixed(1)],
    ['run time, s', (tookMs / 1_000).toFixed(1)],
  ];
  const texts = rows.map(([name, value]) => [name, String(value)]);
  return { title: 'What happened', columns: ['', 'count'], rows: texts, notes: missedGoals(verdict) };
}

export function missedGoals({ violations }: Verdict): string[] {
  return Object.entries(GOALS).flatMap(([goal, meaning]) => {
    const count = violations.filter((violation) => violation.goal === goal).length;
    return count === 0 ? [] : [`MISSED: ${goal}, ${count} times: ${meaning}`];
  });
}

/** From the last hop of the pod that died until the message was over. */
function takeOverMsOf({ hops, finished_at: finishedAt }: JournalRow): number[] {
  const before = hops[hops.findIndex(({ step }) => step === 'taken_over') - 1];
  return before === undefined || finishedAt === null ? [] : [finishedAt.getTime() - Date.parse(before.at)];
}

function isLate({ status, deliver_by: deliverBy, finished_at: finishedAt }: JournalRow): boolean {
  return status === 'delivered' && deliverBy !== null && finishedAt !== null && finishedAt > deliverBy;
}
