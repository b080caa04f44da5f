// `npm run prove -- waiting [--quick] [--only patient|backlog] [--markdown FILE]`: messages that may wait, through
// the whole product. The providers and Postgres judge.
import { parseArgs } from 'node:util';
import { commandOf, publish, type Table } from '../../testbed/results.js';
import { select } from '../../testbed/select.js';
import { exitWithoutEngines } from '../../testbed/testbed.js';
import { tableOf } from '../finding.js';
import { proveBacklog } from './prove-backlog.js';
import { provePatient } from './prove-patient.js';

const FULL = {
  patient: () => provePatient({ messages: 1_000, patienceMs: 60_000, limit: 100, blockMs: 5_000, pods: 4 }),
  backlog: () => proveBacklog({ waiting: 100_000, limit: 100, blockMs: 2_000, windows: 10, pods: 2 }),
};
const QUICK: typeof FULL = {
  patient: () => provePatient({ messages: 200, patienceMs: 30_000, limit: 40, blockMs: 1_000, pods: 2 }),
  backlog: () => proveBacklog({ waiting: 10_000, limit: 100, blockMs: 1_000, windows: 3, pods: 2 }),
};

/** @returns the exit code */
export async function proveWaiting(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', default: '' },
      markdown: { type: 'string' },
    },
  });
  exitWithoutEngines();
  const parts = Object.entries(values.quick ? QUICK : FULL);
  const tables: Table[] = [];
  for (const [, part] of select(values.only, parts, ([name]) => name)) tables.push(tableOf(await part()));
  const command = commandOf('prove', ['waiting', ...args]);
  publish({ title: 'The waiting proof', command, tables }, values);
  const missed = tables.flatMap(({ notes = [] }) => notes).length;
  console.log(missed === 0 ? 'every goal met' : `${missed} goals missed`);
  return missed === 0 ? 0 : 1;
}
