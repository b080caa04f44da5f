// `npm test [-- jest arguments]`: checks format, lint and types, then runs all suites; with arguments only Jest runs.
// `TEST_ENGINES=native` uses this machine's redis-server and Postgres instead of the embedded engines.
import { spawn } from 'node:child_process';
import { hasPrometheus, NO_PROMETHEUS } from '../verification/engines/prometheus-server.js';
import { PostgresServer } from '../verification/engines/postgres-server.js';
import { RedisServer } from '../verification/engines/redis-server.js';
import { findChromium, NO_BROWSER } from './browser/find-chromium.js';

const CHECKS: [what: string, args: string[]][] = [
  ['format', ['node_modules/prettier/bin/prettier.cjs', '--check', '--log-level', 'warn', '.']],
  ['lint', ['node_modules/oxlint/bin/oxlint', '--type-aware', '--deny-warnings', '--quiet']],
  ['types', ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json']],
  ['types of the console', ['node_modules/typescript/bin/tsc', '-p', 'apps/console/tsconfig.json']],
];

const jestArgs = process.argv.slice(2);
if (jestArgs.length === 0 && (await Promise.all(CHECKS.map(check))).includes(false)) process.exit(1);
const engines = process.env['TEST_ENGINES'] === 'native' ? await nativeEngines() : await embeddedRedis();
console.log(`engines: ${process.env['TEST_ENGINES'] ?? 'embedded'}`);
const CHROME_PATH = findChromium(process.env) ?? '';
console.log(`browser: ${CHROME_PATH || `${NO_BROWSER}. The suites of the console do not run.`}`);
if (!hasPrometheus()) console.log(`prometheus: ${NO_PROMETHEUS}. The tests of alerts and dashboard do not run.`);
const jest = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', 'node_modules/jest/bin/jest.js'];
const results = process.env['TEST_RESULTS'];
const reports = results === undefined ? [] : ['--json', `--outputFile=${results}`];
const code = await run([...jest, ...reports, ...jestArgs], { ...process.env, ...engines.env, CHROME_PATH });
await engines.stop();
process.exit(code);

/** Prints its findings, and how it went. */
async function check([what, args]: (typeof CHECKS)[number]): Promise<boolean> {
  const startedAt = Date.now();
  const isOk = (await run(args, process.env)) === 0;
  console.log(`${what}: ${isOk ? 'ok' : 'failed'} (${((Date.now() - startedAt) / 1000).toFixed(1)} s)`);
  return isOk;
}

interface Engines {
  env: NodeJS.ProcessEnv;
  stop: () => Promise<unknown>;
}

/** Redis for the suites of the quota engine; suites with apps start their own engines. */
async function embeddedRedis(): Promise<Engines> {
  const redis = await RedisServer.start('embedded');
  return { env: { TEST_REDIS_URL: redis.url }, stop: () => redis.remove() };
}

async function nativeEngines(): Promise<Engines> {
  const [redis, postgres] = await Promise.all([RedisServer.start(), PostgresServer.start()]);
  return {
    env: { TEST_REDIS_URL: redis.url, TEST_POSTGRES_URL: postgres.url },
    stop: () => Promise.all([redis.remove(), postgres.remove()]),
  };
}

function run(args: string[], env: NodeJS.ProcessEnv): Promise<number> {
  return new Promise((resolve) => {
    spawn(process.execPath, args, { stdio: 'inherit', env }).once('exit', (status) => resolve(status ?? 1));
  });
}
