import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';

const ROOT = join(import.meta.dirname, '..');
const TEST_LINK = /\[([^\]]+)\]\(\.\.\/([^)]+-spec\.ts)\)/g;
const ATTACKS = 'test/attacks/';

const tests = [...readFileSync(join(ROOT, 'docs/security.md'), 'utf8').matchAll(TEST_LINK)].map(
  ([, name = '', file = '']) => ({ name: name.replaceAll('\\', ''), file }),
);

/** Whether a file has a test of this name: a string at the place of a name, or the first value of a row of `it.each`. */
function hasTest({ name, file }: { name: string; file: string }): boolean {
  if (!existsSync(join(ROOT, file))) return false;
  const literal = name.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`);
  return new RegExp(String.raw`(\bit\(|\)\(|\[)\s*(['"\`])${literal}\2,`).test(readFileSync(join(ROOT, file), 'utf8'));
}

describe('docs/security.md', () => {
  it('names only tests that exist', () => {
    expect(tests.filter((test) => !hasTest(test))).toEqual([]);
  });

  it('names at least 80 tests of the attacks, and tests of other suites', () => {
    expect(new Set(tests.filter(({ file }) => file.startsWith(ATTACKS)).map(({ name }) => name)).size).toBeGreaterThan(
      80,
    );
    expect(tests.filter(({ file }) => !file.startsWith(ATTACKS)).length).toBeGreaterThan(30);
  });
});
