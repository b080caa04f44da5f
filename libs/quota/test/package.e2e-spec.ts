import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const TSC = resolve('node_modules/typescript/bin/tsc');
let dir: string;
/** The first example of the package's README. */
let example: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'octo-quota-'));
  const archive = run(process.execPath, ['tools/pack-quota.mjs'], process.cwd()).trim();
  writeFileSync(join(dir, 'package.json'), '{ "type": "module" }');
  run('npm', ['install', '--ignore-scripts', '--no-fund', '--no-audit', '--prefer-offline', archive]);
  const readme = readFileSync(join(dir, 'node_modules/octo-quota/README.md'), 'utf8');
  example = /```js\n(.*?)```/s.exec(readme)?.[1] ?? '';
});
afterAll(() => rmSync(dir, { recursive: true }));

function run(command: string, args: string[], cwd = dir): string {
  const env = { PATH: process.env['PATH'], HOME: process.env['HOME'], REDIS_URL: process.env['TEST_REDIS_URL'] };
  return execFileSync(command, args, { cwd, env, encoding: 'utf8' });
}

describe('the npm package octo-quota', () => {
  it('runs the example of its README', () => {
    const name = `package-${process.pid}-${Date.now()}`;
    writeFileSync(join(dir, 'example.js'), example.replaceAll("'mine'", `'${name}'`));
    const lines = run(process.execPath, ['example.js']).trim().split('\n');
    expect(lines.slice(0, 2)).toEqual(['1 send', '2 send']);
    expect(lines[2]).toMatch(/^3 blocked, opens in \d+ ms$/);
  });

  it('has types', () => {
    writeFileSync(
      join(dir, 'example.ts'),
      `import type { QuotaOptions } from 'octo-quota';\nlet o: QuotaOptions;\no = 1;\n`,
    );
    const options = ['--noEmit', '--module', 'nodenext', '--skipLibCheck', '--strict', 'example.ts'];
    expect(() => run(process.execPath, [TSC, ...options])).toThrow(
      expect.objectContaining({
        stdout: expect.stringContaining("'number' is not assignable to type 'QuotaOptions'"),
      }),
    );
  });
});
