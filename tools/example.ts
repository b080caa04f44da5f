// `npm run example -- NAME [measure]`: runs an example with its engines until Ctrl-C, or its measurement on a stack of its
// own. `REDIS_URL` and `DATABASE_URL` replace the embedded engines.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { lockDataDir } from './stack/data-dir-lock.js';
import { type ExampleStack, planExample } from './stack/example-stack.js';
import { printLog } from './stack/format-log.js';
import { isFreePort } from './stack/free-port.js';
import { stopOnSignal } from './stack/stop-on-signal.js';

/** What `examples/NAME/measure/measure.ts` exports. */
interface Measurement {
  settings: Record<string, string>;
  measure: (stack: ExampleStack) => Promise<boolean>;
}

const names = readdirSync('examples', { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name);
const [name = '', command, ...rest] = process.argv.slice(2);
try {
  if (!names.includes(name) || rest.length > 0 || !['measure', undefined].includes(command)) {
    throw new Error(`Usage: npm run example -- NAME [measure]; examples: ${names.join(', ')}`);
  }
  await (command === 'measure' ? runMeasurement() : run());
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}

async function run(): Promise<void> {
  const dataDir = join(process.env['DATA_DIR'] ?? '.data', `example-${name}`);
  const unlock = lockDataDir(dataDir);
  try {
    const env = { JWT_PRIVATE_KEY_FILE: join(dataDir, 'jwt-key.pem'), ...process.env };
    const stack = await planExample({ name, env, ports: 'fixed', dataDir, onLine: printLog });
    await refuseBusyPorts(stack);
    for (const [app, url] of Object.entries(stack.urls)) console.log(`  ${app.padEnd(10)} ${url}  docs ${url}/docs`);
    const starting = stack.start().then(() => stack);
    stopOnSignal(starting, unlock);
    await starting;
    console.log(`\nThe example ${name} is ready. Ctrl-C stops everything.\n`);
  } catch (error) {
    unlock();
    throw error;
  }
}

async function refuseBusyPorts({ urls }: ExampleStack): Promise<void> {
  for (const [app, url] of Object.entries(urls)) {
    const port = Number(new URL(url).port);
    if (await isFreePort(port)) continue;
    throw new Error(`port ${port} is in use: stop the program that uses it, or set ${app.toUpperCase()}_PORT`);
  }
}

/** On free ports and with data in memory. The logs of the processes are shown only if it fails. */
async function runMeasurement(): Promise<void> {
  const module = pathToFileURL(resolve(`dist/examples/${name}/measure/measure.js`)).href;
  const { settings, measure } = (await import(module)) as Measurement;
  const dir = mkdtempSync(join(tmpdir(), `octo-${name}-`));
  const log: string[] = [];
  const env = { ...process.env, JWT_PRIVATE_KEY_FILE: join(dir, 'jwt-key.pem'), ...settings };
  const onLine = (app: string, line: string): number => log.push(`${app} ${line}`);
  const stack = await planExample({ name, env, ports: 'free', onLine });
  const starting = stack.start().then(() => stack);
  stopOnSignal(starting, () => rmSync(dir, { recursive: true, force: true }));
  await starting;
  const isGood = await measure(stack);
  await stack.stop();
  rmSync(dir, { recursive: true, force: true });
  if (!isGood) console.log(log.slice(-100).join('\n'));
  process.exit(isGood ? 0 : 1);
}
