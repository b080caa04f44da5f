import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ExampleOptions, type ExampleStack, planExample } from '../../tools/stack/example-stack.js';
import { nativeEngines, parse, type Stack } from './stack.js';

/** Starts an example as `npm run example` does, on free ports and test engines. */
export async function startExample(
  name: string,
  env: Record<string, string> = {},
  counts: NonNullable<ExampleOptions['counts']> = {},
): Promise<ExampleStack & Pick<Stack, 'log'>> {
  const dir = mkdtempSync(join(tmpdir(), `octo-${name}-`));
  const engines = await nativeEngines(env);
  const log: Stack['log'] = [];
  const stack = await planExample({
    name,
    counts,
    ports: 'free',
    env: {
      PATH: process.env['PATH'],
      NODE_ENV: 'test',
      // Long: a busy machine must not look like a slow Redis.
      QUOTA_BUDGET_MS: '5000',
      JWT_PRIVATE_KEY_FILE: join(dir, 'jwt.pem'),
      ...engines.env,
      ...env,
    },
    onLine: (app, line) => log.push(parse(app, line)),
  });
  await stack.start();
  return {
    ...stack,
    log,
    stop: async () => {
      await stack.stop();
      await engines.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
