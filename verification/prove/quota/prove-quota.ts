// `npm run prove [-- --quick] [--seed N] [--only TEXT] [--markdown FILE]`: pods as processes against the real
// free provider over HTTP. Octo and other limiters get the same arrivals; the provider's own log judges them.
import { parseArgs } from 'node:util';
import { hasRedisServer } from '../../engines/redis-server.js';
import { commandOf, publish } from '../../testbed/results.js';
import { select } from '../../testbed/select.js';
import { batchesOf } from './batches.js';
import { FAULTS } from './faults.js';
import { goalsMissed, isDisturbed } from './goals.js';
import { measure } from './measure.js';
import { ScenarioRun, type Timing } from './scenario-run.js';
import { missedOf, type Row, tableOf } from './scenario-table.js';
import { nameOf, type Scenario, scenariosOf } from './scenarios.js';

/** @returns the exit code */
export async function proveQuota(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean', default: false },
      seed: { type: 'string', default: '1' },
      only: { type: 'string', default: '' },
      markdown: { type: 'string' },
    },
  });
  const timing = { seed: Number(values.seed), timeoutMs: 500, budgetMs: 100 };
  const startedMs = performance.now();
  const scenarios = select(values.only, scenariosOf(values), nameOf);
  const rows: Row[] = [];
  for (const batch of batchesOf(scenarios)) {
    rows.push(...(await rowsOf(batch, timing)));
    console.log(`${rows.length} of ${scenarios.length}: ${batch.map(nameOf).join('; ')}`);
  }
  rows.sort((one, other) => scenarios.indexOf(one.scenario) - scenarios.indexOf(other.scenario));
  const command = commandOf('prove', args);
  console.log('');
  publish({ title: 'The quota proof', command, tables: [tableOf(rows)] }, values);
  const missed = rows.flatMap(missedOf).length;
  const skipped = rows.filter(({ measures }) => measures === undefined).length;
  if (skipped > 0) console.log(`${skipped} scenarios not run: they need a redis-server on the PATH`);
  const tookS = ((performance.now() - startedMs) / 1_000).toFixed(0);
  console.log(`${missed === 0 ? 'every goal met' : `${missed} goals missed`}, ${tookS} s`);
  return missed === 0 ? 0 : 1;
}

/** Runs a scenario again if the machine was too busy; then the second run counts. */
async function rowsOf(batch: Scenario[], timing: Timing): Promise<Row[]> {
  const rows = await runTogether(batch, timing);
  const disturbed = rows.filter(({ measures, missed }) => missed.length > 0 && measures && isDisturbed(measures));
  if (disturbed.length === 0) return rows;
  console.log(`again, because the machine was too busy: ${disturbed.flatMap(missedOf).join('; ')}`);
  const repeated = await runTogether(
    disturbed.map(({ scenario }) => scenario),
    timing,
  );
  return rows.map((row) => repeated.find(({ scenario }) => scenario === row.scenario) ?? row);
}

async function runTogether(batch: Scenario[], timing: Timing): Promise<Row[]> {
  const canRun = ({ fault }: Scenario): boolean => hasRedisServer() || !FAULTS[fault].keepsData;
  const runs = batch.filter(canRun).map((scenario) => new ScenarioRun(scenario, timing));
  try {
    await Promise.all(runs.map((run) => run.start()));
    const rows = await Promise.all(runs.map((run) => rowOf(run, timing)));
    const skipped = batch.filter((scenario) => !canRun(scenario));
    return [...rows, ...skipped.map((scenario) => ({ scenario, measures: undefined, missed: [] }))];
  } finally {
    await Promise.all(runs.map((run) => run.stop()));
  }
}

async function rowOf(run: ScenarioRun, timing: Timing): Promise<Row> {
  const { scenario } = run;
  const measures = measure(await run.run(), scenario);
  return { scenario, measures, missed: scenario.limiter === 'octo' ? goalsMissed(scenario, measures, timing) : [] };
}
