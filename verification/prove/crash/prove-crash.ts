// `npm run prove -- crash [--quick] [--seed N] [--markdown FILE]`: the whole product on a real redis-server and a
// real Postgres, under load, while pods are killed and both engines crash. The providers' logs, the client's notes and Postgres
// are compared with each other; the gateways are not asked.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { acceptedRequestsSchema } from '#contracts';
import { readJournal, untilSettled } from '../../testbed/journal.js';
import { Octo, setFaults } from '../../testbed/octo.js';
import { publish } from '../../testbed/results.js';
import { exitWithoutEngines } from '../../testbed/testbed.js';
import { Poster } from '../poster.js';
import { readSeededOptions } from '../seeded-options.js';
import { type SentMessage, sendLikeClient } from './client.js';
import { type Extent, FULL, type Plan, type PlannedFault, planOf, QUICK } from './crash-plan.js';
import { type Course, missedGoals, outcomeTable } from './crash-tables.js';
import { type Evidence, judge, type Verdict } from './verdict.js';

/** So slow that a killed pod has messages in flight. */
const LATENCY_MS = 80;
/** Some windows a minute, too small for all messages. */
const QUOTA = { limit: 40, blockMs: 1_000 };

/** @returns the exit code */
export async function proveCrash(args: string[]): Promise<number> {
  const { isQuick, seed, markdown } = readSeededOptions(args);
  exitWithoutEngines();
  const extent = isQuick ? QUICK : FULL;
  const octo = await Octo.start({ ...extent, ...QUOTA });
  try {
    const command = `npm run prove -- crash ${isQuick ? '--quick ' : ''}--seed ${seed}`;
    return await prove(octo, extent, { seed, command, markdown });
  } finally {
    await octo.stop();
  }
}

async function prove(
  octo: Octo,
  extent: Extent,
  { seed, command, markdown }: { seed: number; command: string; markdown: string | undefined },
): Promise<number> {
  const startedMs = performance.now();
  const { free, paid } = octo.origins;
  await Promise.all([free, paid].map((origin) => setFaults(origin, { latencyMs: LATENCY_MS })));
  const { sent, injected } = await runLoad(octo, planOf(extent, seed));
  // The verdict names the messages that are not over by then.
  await untilSettled(octo.stack.databaseUrl, extent.settleMs).catch((error: Error) => console.log(error.message));
  const evidence = await collect(octo, sent);
  const verdict = judge(evidence);
  const tables = [outcomeTable(evidence, verdict, { injected, tookMs: performance.now() - startedMs })];
  const { messages, perSecond, pods } = extent;
  const title = `The crash proof: ${messages} messages at ${perSecond} a second, ${pods} gateways`;
  publish({ title, command, tables }, { markdown });
  const isMet = missedGoals(verdict).length === 0;
  console.log(`${isMet ? 'every goal met' : 'goals missed'}; findings: ${writeFindings(octo, evidence, verdict)}`);
  return isMet ? 0 : 1;
}

/** Sends each message and injects each fault at its moment, whatever happened to the earlier ones. */
async function runLoad(
  octo: Octo,
  { messages, faults }: Plan,
): Promise<{ sent: SentMessage[] } & Pick<Course, 'injected'>> {
  const poster = new Poster(octo.origins.gateways, await octo.logIn());
  const startMs = performance.now();
  const until = (atMs: number): Promise<void> => delay(Math.max(0, atMs - (performance.now() - startMs)));
  const injected: Course['injected'] = { pod: 0, redis: 0, postgres: 0 };
  const injecting = faults.map(async (fault) => {
    await until(fault.atMs);
    if (await injectFault(octo, fault)) injected[fault.target] += 1;
  });
  const sending = messages.map(async (message) => {
    await until(message.atMs);
    return sendLikeClient(poster, message);
  });
  const [sent] = await Promise.all([Promise.all(sending), ...injecting]);
  await poster.close();
  return { sent, injected };
}

/** @returns false if no pod was running */
async function injectFault(octo: Octo, { target, draw }: PlannedFault): Promise<boolean> {
  const { testbed } = octo;
  if (target === 'pod') return killPod(octo, draw);
  testbed.note(target, 'crashes');
  await testbed[target].kill();
  await testbed[target].start();
  return true;
}

/** Process ids that were killed, by name: a pod runs again when it has another one. */
const killed = new Map<string, number | undefined>();

function killPod({ stack, testbed }: Octo, draw: number): boolean {
  const gateways = stack.processes.filter(({ name }) => name.startsWith('gateway'));
  const running = gateways.filter(({ name, pid }) => pid !== undefined && killed.get(name) !== pid);
  const victim = running[Math.floor(draw * running.length)];
  if (victim === undefined) return false;
  killed.set(victim.name, victim.pid);
  testbed.note(victim.name, `process ${victim.pid} is killed`);
  victim.kill('SIGKILL');
  return true;
}

async function collect(octo: Octo, sent: SentMessage[]): Promise<Evidence> {
  const acceptedAt = async (origin: string) =>
    acceptedRequestsSchema.parse(await (await fetch(`${origin}/stats/accepted`)).json()).items;
  return {
    sent,
    journal: await readJournal(octo.stack.databaseUrl),
    accepted: { free: await acceptedAt(octo.origins.free), paid: await acceptedAt(octo.origins.paid) },
    freeStats: await octo.statsOf('free'),
  };
}

/** Writes everything that is known about the run. @returns the path */
function writeFindings({ testbed }: Octo, evidence: Evidence, verdict: Verdict): string {
  const path = join(mkdtempSync(join(tmpdir(), 'octo-crash-')), 'findings.json');
  writeFileSync(path, JSON.stringify({ verdict, log: testbed.log, evidence }, undefined, 2));
  return path;
}
