// `npm run prove -- overload [--quick] [--markdown FILE]`: ten times the normal rate, and a flood of logins. The log of the
// provider judges what was sent.
import { parseArgs } from 'node:util';
import { logIn } from '../../../tools/stack/log-in.js';
import { Octo, setFaults } from '../../testbed/octo.js';
import { commandOf, publish } from '../../testbed/results.js';
import { exitWithoutEngines } from '../../testbed/testbed.js';
import { type Finding, tableOf } from '../finding.js';
import { Poster } from '../poster.js';
import { openLoop, p99Of, type Timed } from './open-loop.js';

const NORMAL_PER_SECOND = 50;
const OVERLOAD_FACTOR = 10;
/** In flight at the normal rate: 2.5 messages. */
const PROVIDER_MS = 50;
/** The normal rate fits six times; of ten times, some messages are above the rate and some find no place. */
const LIMITS = { MESSAGES_PER_SECOND: '300', MAX_IN_FLIGHT: '10', LOGIN_ATTEMPTS: '1000000' };
const SLOWER_MAX = 3;
const GROWTH_MAX_MB = 150;
const RECOVERY_MS = 5_000;
const LOGINS_PER_SECOND = 100;
const DURING_LOGINS_MS = 300;
const MB = 1_048_576;

/** @returns the exit code */
export async function proveOverload(args: string[]): Promise<number> {
  const options = { quick: { type: 'boolean', default: false }, markdown: { type: 'string' } } as const;
  const { values } = parseArgs({ args, options });
  exitWithoutEngines();
  const durationMs = values.quick ? 15_000 : 60_000;
  const octo = await Octo.start({ pods: 1, limit: 1_000_000, blockMs: 1_000, env: LIMITS });
  try {
    await setFaults(octo.origins.free, { latencyMs: PROVIDER_MS });
    const tables = [tableOf(await overload(octo, durationMs)), tableOf(await loginFlood(octo, durationMs))];
    publish({ title: 'The overload proof', command: commandOf('prove', ['overload', ...args]), tables }, values);
    const missed = tables.flatMap(({ notes = [] }) => notes).length;
    console.log(missed === 0 ? 'every goal met' : `${missed} goals missed`);
    return missed === 0 ? 0 : 1;
  } finally {
    await octo.stop();
  }
}

async function overload(octo: Octo, durationMs: number): Promise<Finding> {
  const poster = new Poster(octo.origins.gateways, await octo.logIn(), { connections: 512 });
  const load = (factor: number, ms: number): Promise<Timed[]> =>
    openLoop({ perSecond: NORMAL_PER_SECOND * factor, durationMs: ms }, async () => {
      const { status } = await poster.post({ message: 'hello' });
      return status;
    });
  await load(2, 5_000);
  const normal = await load(1, durationMs / 3);
  const [sentBefore, residentBefore] = [await sentBy(octo), await residentMb(octo)];
  const answers = await load(OVERLOAD_FACTOR, durationMs);
  const [sent, grownMb] = [(await sentBy(octo)) - sentBefore, (await residentMb(octo)) - residentBefore];
  await load(1, RECOVERY_MS);
  const after = await load(1, RECOVERY_MS);
  await poster.close();
  const accepted = answers.filter(({ status }) => status === 200);
  const refused = answers.filter(({ status }) => status === 429 || status === 503);
  const [normalMs, acceptedMs, refusedMs, afterMs] = [normal, accepted, refused, after].map(p99Of);
  const isQuick = (ms = Infinity): boolean => ms <= SLOWER_MAX * (normalMs ?? 0);
  return {
    title: `${NORMAL_PER_SECOND * OVERLOAD_FACTOR} messages a second for ${durationMs / 1_000} s, ${NORMAL_PER_SECOND} are normal`,
    figures: [
      ['p99 at the normal rate, ms', inMs(normalMs)],
      ['accepted under overload', accepted.length],
      ['p99 of accepted, ms', inMs(acceptedMs)],
      ['refused with 429', answers.filter(({ status }) => status === 429).length],
      ['refused with 503', answers.filter(({ status }) => status === 503).length],
      ['p99 of refused, ms', inMs(refusedMs)],
      ['sent to providers', sent],
      ['growth of the gateway, MB', grownMb.toFixed(0)],
      ['p99 5 s after the overload, ms', inMs(afterMs)],
    ],
    goals: [
      [accepted.length + refused.length === answers.length, 'every answer is 200, 429 or 503'],
      [refused.length > answers.length / 2, 'what does not fit is refused'],
      [sent === accepted.length, 'a refused message is not sent to a provider'],
      [isQuick(acceptedMs), `accepted messages take at most ${SLOWER_MAX} times as long as normal`],
      [isQuick(refusedMs), 'refusals come at once'],
      [grownMb <= GROWTH_MAX_MB, `the gateway grows by at most ${GROWTH_MAX_MB} MB`],
      [after.every(({ status }) => status === 200) && isQuick(afterMs), 'all is normal after 5 s'],
    ],
  };
}

async function loginFlood(octo: Octo, durationMs: number): Promise<Finding> {
  const [gateway = ''] = octo.origins.gateways;
  const sessions: string[] = [];
  const rate = { perSecond: 5, durationMs };
  for (let count = 0; count < (rate.perSecond * durationMs) / 1_000 + 2; count += 1)
    sessions.push(await logIn(gateway));
  const [own = ''] = sessions;
  const poster = new Poster([gateway], own);
  const flood = openLoop({ perSecond: LOGINS_PER_SECOND, durationMs }, () =>
    post(`${gateway}/auth/login`, '', { email: `${crypto.randomUUID()}@example.com`, password: 'wrong password' }),
  );
  const [messages, accounts, logouts] = await Promise.all([
    openLoop(rate, async () => (await poster.post({ message: 'hello' })).status),
    openLoop(rate, async () => (await fetch(`${gateway}/auth/me`, { headers: { cookie: own } })).status),
    openLoop(rate, () => post(`${gateway}/auth/logout`, sessions.pop() ?? '')),
  ]);
  const logins = await flood;
  await poster.close();
  const calls: [string, Timed[], number][] = [['POST /messages', messages, 200], ['GET /auth/me', accounts, 200], ['POST /auth/logout', logouts, 204]]; // prettier-ignore
  return {
    title: `${LOGINS_PER_SECOND} logins a second for ${durationMs / 1_000} s`,
    figures: [
      ['logins that were checked', logins.filter(({ status }) => status === 401).length],
      ['logins refused with 503', logins.filter(({ status }) => status === 503).length],
      ...calls.map(([name, requests]) => [`p99 of ${name}, ms`, inMs(p99Of(requests))] as const),
    ],
    goals: [
      [logins.every(({ status }) => status === 401 || status === 503), 'every login is answered 401 or 503'],
      ...calls.map(([name, requests, wanted]) => {
        const isMet = requests.every(({ status }) => status === wanted) && p99Of(requests) <= DURING_LOGINS_MS;
        return [isMet, `${name} is answered ${wanted} within ${DURING_LOGINS_MS} ms`] as const;
      }),
    ],
  };
}

async function post(url: string, cookie: string, body?: object): Promise<number> {
  const headers = { ...(cookie !== '' && { cookie }), ...(body && { 'content-type': 'application/json' }) };
  const answer = await fetch(url, { method: 'POST', headers, ...(body && { body: JSON.stringify(body) }) });
  await answer.arrayBuffer();
  return answer.status;
}

const inMs = (ms = 0): string => ms.toFixed(0);

async function sentBy(octo: Octo): Promise<number> {
  return (await octo.statsOf('free')).accepted + (await octo.statsOf('paid')).accepted;
}

async function residentMb(octo: Octo): Promise<number> {
  return Math.max(...(await octo.metric('process_resident_memory_bytes'))) / MB;
}
