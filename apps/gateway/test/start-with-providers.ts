import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Stack, type StackOptions, startStack } from '../../../test/support/stack.js';

/** A stack whose gateways read this providers file. */
export async function startWithProviders(yaml: string, { env, ...options }: StackOptions = {}): Promise<Stack> {
  const dir = mkdtempSync(join(tmpdir(), 'octo-providers-'));
  const file = join(dir, 'providers.yaml');
  writeFileSync(file, yaml);
  const stack = await startStack({ ...options, env: { ...env, PROVIDERS_FILE: file } });
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
