// `npm run prove -- overload [--quick] [--rate 20] [--markdown FILE]`: ten times the normal rate of messages a second, then a
// flood of logins. The log of the provider judges what was sent. On a busy machine take a lower rate.
import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { logIn } from '../../../tools/stack/log-in.js';
import { Octo, setFaults } from '../../testbed/octo.js';
import { commandOf, publish } from '../../testbed/results.js';
import { exitWithoutEngines } from '../../testbed/testbed.js';
import { type Finding, tableOf } from '../finding.js';
import { openLoop, p99Of, type Timed } from './open-loop.js';

const PROVIDER_MS = 200;
const SLOWER_MAX = 3;
const GROWTH_MAX_MB = 150;
const PAUSE_MS = 5_000;
const DURING_LOGINS_MS = 300;
const JSON_TYPE = { 'content-type': 'application/json' };

interface Extent {
  /** Normal messages per second. */
  rate: number;
  durationMs: number;
}

/** @returns the exit code */
export async function proveOverload(args: string[]): Promise<number> {
  const quick = { type: 'boolean', default: false } as const;
  const options = { quick, rate: { type: 'string', default: '20' }, markdown: { type: 'string' } } as const;
  const { values } = parseArgs({ args, options });
  exitWithoutEngines();
  const extent = { rate: Number(values.rate), durationMs: values.quick ? 15_000 : 60_000 };
  const octo = await Octo.start({ pods: 1, limit: 1_000_000, blockMs: 1_000, env: limitsFor(extent) });
  try {
    await setFaults(octo.origins.free, { latencyMs: PROVIDER_MS });
    const tables = [tableOf(await overload(octo, extent)), tableOf(await loginFlood(octo, extent))];
    publish({ title: 'The overload proof', command: commandOf('prove', ['overload', ...args]), tables }, values);
    const missed = tables.flatMap(({ notes = [] }) => notes).length;
    console.log(missed === 0 ? 'every goal met' : `${missed} goals missed`);
    return missed === 0 ? 0 : 1;
  } finally {
    await octo.stop();
  }
}

/** Five times the normal rate fits into a pod. Of ten times, some messages are above the rate of their account as well. */
function limitsFor({ rate }: Extent): Record<string, string> {
  const MAX_IN_FLIGHT = String(Math.ceil((5 * rate * PROVIDER_MS) / 1_000));
  return { MAX_IN_FLIGHT, MESSAGES_PER_SECOND: String(Math.ceil(7.5 * rate)), LOGIN_ATTEMPTS: '1000000' };
}

async function overload(octo: Octo, { rate, durationMs }: Extent): Promise<Finding> {
  const sendMessage = senderOf(octo, await logIn(gatewayOf(octo)));
  const load = (factor: number, ms: number): Promise<Timed[]> =>
    openLoop({ perSecond: rate * factor, durationMs: ms }, sendMessage);
  await load(2, PAUSE_MS);
  const normal = await load(1, durationMs / 3);
  const before = await usedBy(octo);
  const answers = await load(10, durationMs);
  const after = await usedBy(octo);
  await load(1, PAUSE_MS);
  const recovered = await load(1, PAUSE_MS);
  const by = (...wanted: number[]): Timed[] => answers.filter(({ status }) => wanted.includes(status));
  const [accepted, refused, sent] = [by(200), by(429, 503), after.sent - before.sent];
  const isQuick = (requests: Timed[]): boolean => p99Of(requests) <= SLOWER_MAX * p99Of(normal);
  const grownMb = Math.round((after.residentBytes - before.residentBytes) / 1_048_576);
  return {
    title: `${10 * rate} messages a second for ${durationMs / 1_000} s; ${rate} are normal`,
    figures: [
      ['accepted, refused with 429, with 503', `${accepted.length} ${by(429).length} ${by(503).length}`],
      ['sent to providers', sent],
      ['p99 at the normal rate, ms', p99Of(normal)],
      ['p99 of accepted and of refused, ms', `${p99Of(accepted)} ${p99Of(refused)}`],
      ['p99 at the normal rate from 5 s after, ms', p99Of(recovered)],
      ['growth of the gateway, MB', grownMb],
    ],
    goals: [
      [accepted.length + refused.length === answers.length, 'every answer is 200, 429 or 503'],
      [refused.length > answers.length / 3, 'what does not fit is refused'],
      [sent === accepted.length, 'no refused message is sent to a provider'],
      [isQuick(accepted), `accepted messages take at most ${SLOWER_MAX} times as long as normal`],
      [isQuick(refused), `refusals take at most ${SLOWER_MAX} times as long as a normal message`],
      [grownMb <= GROWTH_MAX_MB, `the gateway grows by at most ${GROWTH_MAX_MB} MB`],
      [isQuick(recovered) && recovered.every(({ status }) => status === 200), 'all is normal after 5 s'],
    ],
  };
}

async function loginFlood(octo: Octo, { rate, durationMs }: Extent): Promise<Finding> {
  const gateway = gatewayOf(octo);
  const perSecond = rate / 5;
  const sessions: string[] = [];
  while (sessions.length < 10 + (perSecond * (durationMs + PAUSE_MS)) / 1_000) sessions.push(await logIn(gateway));
  const [cookie = ''] = sessions;
  const calls: [name: string, wanted: number, send: () => Promise<number>][] = [
    ['POST /messages', 200, senderOf(octo, cookie)],
    ['GET /auth/me', 200, () => call(`${gateway}/auth/me`, { headers: { cookie } })],
    ['POST /auth/logout', 204, () => call(`${gateway}/auth/logout`, { method: 'POST', headers: { cookie: sessions.pop() ?? '' } })], // prettier-ignore
  ];
  const use = (ms: number): Promise<Timed[][]> =>
    Promise.all(calls.map(([, , send]) => openLoop({ perSecond, durationMs: ms }, send)));
  const login = (): Promise<number> => {
    const body = JSON.stringify({ email: `${randomUUID()}@example.com`, password: 'wrong password' });
    return call(`${gateway}/auth/login`, { method: 'POST', headers: JSON_TYPE, body });
  };
  const calm = await use(PAUSE_MS);
  const [during, logins] = await Promise.all([use(durationMs), openLoop({ perSecond: 2.5 * rate, durationMs }, login)]);
  const found = calls.map(([name, wanted], at) => {
    const [before, requests] = [calm[at] ?? [], during[at] ?? []];
    // A machine that is busy with other work is slow before the flood as well.
    const mostMs = Math.max(DURING_LOGINS_MS, SLOWER_MAX * p99Of(before));
    const isMet = p99Of(requests) <= mostMs && requests.every(({ status }) => status === wanted);
    return { name, p99s: `${p99Of(before)} ${p99Of(requests)}`, goal: [isMet, `${name} is answered ${wanted} within ${mostMs} ms`] as const }; // prettier-ignore
  });
  const by = (wanted: number): number => logins.filter(({ status }) => status === wanted).length;
  return {
    title: `${2.5 * rate} logins a second for ${durationMs / 1_000} s`,
    figures: [
      ['checked, refused with 503', `${by(401)} ${by(503)}`],
      ...found.map(({ name, p99s }) => [`p99 of ${name} before and during, ms`, p99s] as const),
    ],
    goals: [
      [by(401) + by(503) === logins.length, 'every login is answered 401 or 503'],
      ...found.map(({ goal }) => goal),
    ],
  };
}

const gatewayOf = ({ origins }: Octo): string => origins.gateways[0] ?? '';

function senderOf(octo: Octo, cookie: string): () => Promise<number> {
  const message = { method: 'POST', headers: { ...JSON_TYPE, cookie }, body: JSON.stringify({ message: 'hello' }) };
  return () => call(`${gatewayOf(octo)}/messages`, message);
}

async function call(url: string, init: RequestInit): Promise<number> {
  const answer = await fetch(url, init);
  await answer.arrayBuffer();
  return answer.status;
}

async function usedBy(octo: Octo): Promise<{ sent: number; residentBytes: number }> {
  const [residentBytes = 0] = await octo.metric('process_resident_memory_bytes');
  return { sent: (await octo.statsOf('free')).accepted + (await octo.statsOf('paid')).accepted, residentBytes };
}
