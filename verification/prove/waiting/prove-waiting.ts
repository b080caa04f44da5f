// `npm run prove -- waiting [--quick] [--seed N] [--only patient|mixed|backlog]`: messages that can wait, through the real
// apps. Judged by what the providers and Postgres say. Exit code 1 when a goal is missed.
import { parseArgs } from 'node:util';
import { only } from '../../testbed/only.js';
import { type Finding, reportOf } from './finding.js';
import { proveBacklog } from './prove-backlog.js';
import { proveMixed } from './prove-mixed.js';
import { provePatient } from './prove-patient.js';

/** @returns the exit code */
export async function proveWaiting(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean', default: false },
      seed: { type: 'string', default: '1' },
      only: { type: 'string', default: '' },
    },
  });
  const parts = values.quick ? quick() : full(Number(values.seed));
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

function full(seed: number): Parts {
  return {
    patient: () => provePatient({ messages: 1_000, patienceMs: 60_000, limit: 100, blockMs: 5_000, pods: 4 }),
    mixed: () => proveMixed({ durationMs: 60_000, seed, pods: 2 }),
    backlog: () => proveBacklog({ waiting: 100_000, limit: 100, blockMs: 2_000, windows: 10, pods: 2 }),
  };
}

/** Mixed load needs many blocks to tell one way from another. */
function quick(): Parts {
  return {
    patient: () => provePatient({ messages: 200, patienceMs: 30_000, limit: 40, blockMs: 1_000, pods: 2 }),
    backlog: () => proveBacklog({ waiting: 10_000, limit: 100, blockMs: 1_000, windows: 3, pods: 2 }),
  };
}
