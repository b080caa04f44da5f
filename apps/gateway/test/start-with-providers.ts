import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AppName } from '../../../tools/stack/stack.js';
import { type Stack, type StackOptions, startStack } from '../../../test/support/stack.js';

/** A stack whose gateways read this providers file. */
export async function startWithProviders(yaml: string, { env, ...options }: StackOptions = {}): Promise<Stack> {
  const dir = mkdtempSync(join(tmpdir(), 'octo-providers-'));
  const file = join(dir, 'providers.yaml');
  writeFileSync(file, yaml);
  // A file with stubs of its own needs no reference providers.
  const apps: AppName[] = yaml.includes('_PROVIDER_URL')
    ? ['auth', 'free-provider', 'paid-provider', 'gateway']
    : ['auth', 'gateway'];
  const stack = await startStack({ apps, ...options, env: { ...env, PROVIDERS_FILE: file } });
  return removingAtStop(stack, dir);
}

function removingAtStop(stack: Stack, dir: string): Stack {
  return {
    ...stack,
    restart: async () => removingAtStop(await stack.restart(), dir),
    stop: async () => {
      await stack.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
