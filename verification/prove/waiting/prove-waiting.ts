// `npm run prove -- waiting [--quick] [--only patient|backlog]`: messages that can wait, through the real
// apps. Judged by what the providers and Postgres say. Exit code 1 when a goal is missed.
import { parseArgs } from 'node:util';
import { only } from '../../testbed/only.js';
import { type Finding, reportOf } from './finding.js';
import { proveBacklog } from './prove-backlog.js';
import { provePatient } from './prove-patient.js';

/** @returns the exit code */
export async function proveWaiting(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', default: '' },
    },
  });
  const parts = values.quick ? quick() : full();
  const startedMs = performance.now();
  const findings: Finding[] = [];
  for (const [, part] of only(values.only, Object.entries(parts), ([name]) => name)) {
    const finding = await part();
    console.log(reportOf(finding));
    findings.push(finding);
  }
  const missed = findings.flatMap((finding) => finding.missed);
  const verdict = missed.length === 0 ? 'every goal met' : `${missed.length} goals missed`;
  console.log(`${verdict}, ${((performance.now() - startedMs) / 1_000).toFixed(0)} s`);
  return missed.length === 0 ? 0 : 1;
}

type Parts = Record<string, () => Promise<Finding>>;

function full(): Parts {
  return {
    patient: () => provePatient({ messages: 1_000, patienceMs: 60_000, limit: 100, blockMs: 5_000, pods: 4 }),
    backlog: () => proveBacklog({ waiting: 100_000, limit: 100, blockMs: 2_000, windows: 10, pods: 2 }),
  };
}

function quick(): Parts {
  return {
    patient: () => provePatient({ messages: 200, patienceMs: 30_000, limit: 40, blockMs: 1_000, pods: 2 }),
    backlog: () => proveBacklog({ waiting: 10_000, limit: 100, blockMs: 1_000, windows: 3, pods: 2 }),
  };
}
