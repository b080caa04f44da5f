import { describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { commonSettings, flag, port, readSettings, redisUrl, SettingsError, wholeNumber } from './settings.js';

const schema = z.object({
  ...commonSettings,
  PORT: port(3_000),
  LIMIT: wholeNumber({ min: 1, max: 10 }),
  HEADERS: flag(true),
  REDIS_URL: redisUrl(),
});
const good = { LIMIT: '3', REDIS_URL: 'redis://127.0.0.1' };

function problemsOf(env: NodeJS.ProcessEnv): string[] {
  try {
    readSettings(schema, env);
  } catch (error) {
    if (error instanceof SettingsError) return error.problems;
    throw error;
  }
  return [];
}

describe('readSettings', () => {
  it('returns numbers, flags and defaults', () => {
    expect(readSettings(schema, { ...good, HEADERS: 'false' })).toMatchObject({
      PORT: 3_000,
      LIMIT: 3,
      HEADERS: false,
    });
  });

  it('treats an empty variable as not set', () => {
    expect(readSettings(schema, { ...good, PORT: '' })).toMatchObject({ PORT: 3_000 });
  });

  it('reports every bad variable with its rule and its value', () => {
    const problems = problemsOf({ ...good, PORT: '99999', LIMIT: 'abc', LOG_LEVEL: 'loud' });
    expect(problems).toHaveLength(3);
    expect(problems).toContain('LIMIT: must be a whole number from 1 to 10, is "abc"');
    expect(problems.join('\n')).toMatch(/PORT: .*"99999"/);
    expect(problems.join('\n')).toMatch(/LOG_LEVEL: .*"loud"/);
  });

  it.each(['1e0', '0x5', ' 5', '5.0', '+5'])('refuses %j as a whole number', (LIMIT) => {
    expect(problemsOf({ ...good, LIMIT })).toHaveLength(1);
  });

  it('reports missing variables', () => {
    expect(problemsOf({ LIMIT: '1' })).toEqual([expect.stringMatching(/^REDIS_URL: is required/)]);
  });

  it('reads a secret from the file that NAME_FILE names', () => {
    const dir = mkdtempSync(join(tmpdir(), 'octo-settings-'));
    const REDIS_URL_FILE = join(dir, 'redis-url');
    writeFileSync(REDIS_URL_FILE, 'redis://:secret@redis\n');
    expect(readSettings(schema, { LIMIT: '3', REDIS_URL_FILE })).toMatchObject({ REDIS_URL: 'redis://:secret@redis' });
    expect(readSettings(schema, { ...good, REDIS_URL_FILE })).toMatchObject({ REDIS_URL: good.REDIS_URL });
    rmSync(dir, { recursive: true });
    expect(problemsOf({ LIMIT: '3', REDIS_URL_FILE })).toEqual([`REDIS_URL_FILE: cannot read ${REDIS_URL_FILE}`]);
  });

  it('hides a value that may be a secret', () => {
    expect(problemsOf({ ...good, REDIS_URL: 'http://user:hush@host' }).join()).not.toContain('hush');
  });
});
