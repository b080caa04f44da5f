import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { findChromium } from './find-chromium.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'octo-chromium-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function programAt(...path: string[]): string {
  const file = join(dir, ...path);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, '', { mode: 0o755 });
  return file;
}

describe('findChromium', () => {
  it('takes CHROME_PATH before the PATH', () => {
    const own = programAt('own', 'browser');
    programAt('bin', 'chromium');
    expect(findChromium({ CHROME_PATH: own, PATH: join(dir, 'bin') })).toBe(own);
  });

  it('finds a Chromium in any folder of the PATH, under any of its names', () => {
    const found = programAt('bin', 'chromium-browser');
    expect(findChromium({ PATH: [join(dir, 'empty'), join(dir, 'bin')].join(delimiter) })).toBe(found);
  });

  it('finds nothing when CHROME_PATH names no program, even with a Chromium on the PATH', () => {
    programAt('bin', 'chromium');
    expect(findChromium({ CHROME_PATH: join(dir, 'gone'), PATH: join(dir, 'bin') })).toBeUndefined();
  });

  it('finds nothing on an empty PATH', () => {
    expect(findChromium({})).toBeUndefined();
  });
});
