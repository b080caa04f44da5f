// `npm run prove -- crash [--quick] [--seed N]`: real apps on a real redis-server and a real Postgres, under load, while
// pods are killed and both engines crash. Judged by what the providers, the clients and Postgres say, not by what the
// gateways think. Exit code 1 when a goal is missed.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { acceptedRequestsSchema } from '#contracts';
import { readJournal, untilOver } from '../journal.js';
import { Poster } from '../poster.js';
import { hasEngines } from '../../testbed/system.js';
import { Client, type SentMessage } from './client.js';
import { type Evidence, GOALS, judge, type Verdict } from './judge.js';
import { type Extent, FULL, type Plan, planOf, QUICK } from './plan.js';
import { type Course, report } from './report.js';
import { Site } from './site.js';

const READY_MS = 30_000;

/** @returns the exit code */
export async function proveCrash(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean', default: false },
      seed: { type: 'string', default: String(Date.now() % 1e6) },
    },
  });
  if (!hasEngines()) {
    console.log('not run: it takes a redis-server and a Postgres on the PATH, which can crash and come back');
    return 1;
  }
  const site = new Site();
  const interrupt = (exitCode: number) => (): void => void site.system.stop().then(() => process.exit(exitCode));
  process.once('SIGINT', interrupt(130)).once('SIGTERM', interrupt(143)).once('disconnect', interrupt(1));
  try {
    return await prove(site, values.quick ? QUICK : FULL, Number(values.seed));
  } finally {
    await site.system.stop();
  }
}

async function prove(site: Site, extent: Extent, seed: number): Promise<number> {
  const startedMs = performance.now();
  const { messages, pods, kills } = extent;
  console.log(`crash proof: ${messages} messages, ${pods} gateways, ${kills} kills, seed ${seed}\n`);
  await site.start(extent);
  const { sent, strikes } = await runLoad(site, planOf(extent, seed));
  await site.untilReady(READY_MS);
  await untilSettled(site, extent);
  const evidence = await collect(site, sent);
  const verdict = judge(evidence);
  const course = { strikes, seed, tookMs: performance.now() - startedMs };
  console.log(report(evidence, verdict, course));
  return conclude(site, evidence, verdict, course);
}

/** Each message and each strike at its moment, whatever became of those before. */
async function runLoad(
  site: Site,
  { messages, strikes }: Plan,
): Promise<{ sent: SentMessage[] } & Pick<Course, 'strikes'>> {
  const poster = new Poster(site.system.origins.gateways, await site.system.logIn());
  const client = new Client(poster);
  const startMs = performance.now();
  const at = (atMs: number): Promise<void> => delay(Math.max(0, atMs - (performance.now() - startMs)));
  const struck: Course['strikes'] = { pod: 0, redis: 0, postgres: 0 };
  const striking = strikes.map(async (strike) => {
    await at(strike.atMs);
    if (await site.strike(strike)) struck[strike.at] += 1;
  });
  const sending: Promise<SentMessage>[] = [];
  for (const message of messages) {
    await at(message.atMs);
    sending.push(client.send(message));
  }
  const [sent] = await Promise.all([Promise.all(sending), ...striking]);
  await poster.close();
  return { sent, strikes: struck };
}

/** What is not over by then is told by the verdict. */
async function untilSettled({ system }: Site, { settleMs }: Extent): Promise<void> {
  await untilOver(system.databaseUrl, settleMs).catch((error: Error) => console.log(error.message));
}

async function collect({ system }: Site, sent: SentMessage[]): Promise<Evidence> {
  const { databaseUrl, origins } = system;
  const acceptedAt = async (origin: string) =>
    acceptedRequestsSchema.parse(await (await fetch(`${origin}/stats/accepted`)).json()).items;
  return {
    sent,
    journal: await readJournal(databaseUrl),
    accepted: { free: await acceptedAt(origins.free), paid: await acceptedAt(origins.paid) },
    freeStats: await system.statsOf('free'),
  };
}

function conclude(
  { system: { log } }: Site,
  evidence: Evidence,
  { offences, doubts, unrecorded }: Verdict,
  course: Course,
): number {
  const path = join(mkdtempSync(join(tmpdir(), 'octo-crash-')), 'findings.json');
  const detailed = <Finding extends { ids: string[] }>(finding: Finding) => ({
    ...finding,
    sent: evidence.sent.filter(({ text }) => 'text' in finding && text === finding.text),
    journal: evidence.journal.filter(({ id }) => finding.ids.includes(id)),
  });
  const findings = {
    course,
    offences: offences.map(detailed),
    doubts: doubts.map(({ id, what }) => detailed({ what, ids: [id] })),
    unrecorded,
    refusals: refusalsIn(evidence),
    log,
  };
  writeFileSync(path, JSON.stringify(findings, undefined, 2));
  const missed = Object.entries(GOALS).flatMap(([goal, meaning]) => {
    const count = offences.filter((offence) => offence.goal === goal).length;
    return count === 0 ? [] : [`MISSED: ${goal}, ${count} times: ${meaning}`];
  });
  console.log(
    `\n${missed.length === 0 ? 'every goal met' : missed.join('\n')}\n${missed.length === 0 ? 'doubts' : 'offences'}: ${path}`,
  );
  return missed.length === 0 ? 0 : 1;
}

/** When the free provider refused which message, and of which window its permit was. */
function refusalsIn({ journal }: Evidence): object[] {
  return journal.flatMap(({ id, hops }) =>
    hops.flatMap(({ at, outcome, provider, pod }, index) =>
      outcome === 'refused' ? [{ at, id, provider, pod, epoch: hops[index - 1]?.epoch }] : [],
    ),
  );
}
