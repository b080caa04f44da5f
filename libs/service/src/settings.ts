import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { parseRedisUrl, REDIS_URL_FORMS } from '#redis';
import { describeIssue } from './describe-issue.js';

// For the whole process: as an option of `safeParse` it costs 8 µs a message.
z.config({ customError: describeIssue });

/** Settings of every app. Each is named after its environment variable. */
export const commonSettings = {
  NODE_ENV: z.enum(['development', 'test', 'production']).default('development'),
  LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
  HOST: z.string().default('127.0.0.1'),
  /** Longest wait for requests in flight after SIGTERM; container engines kill the process after 10 s. */
  SHUTDOWN_TIMEOUT_MS: wholeNumber({ min: 0, max: 600_000 }).default(8_000),
  /** After SIGTERM the process is not ready, but still serves for this long: balancers need time to notice. */
  SHUTDOWN_DELAY_MS: wholeNumber({ min: 0, max: 600_000 }).default(0),
  /** After that it takes no new connection, but idle ones stay open for this long: a balancer may be using one. */
  SHUTDOWN_DRAIN_MS: wholeNumber({ min: 0, max: 600_000 }).default(0),
  /** Connections at one process; the kernel closes more at once. */
  MAX_CONNECTIONS: wholeNumber({ min: 1, max: 1_000_000 }).default(10_000),
  /** Port of `/metrics` alone. Without it `/metrics` is at `PORT`; 0 lets the system choose. */
  METRICS_PORT: wholeNumber({ min: 0, max: 65_535 }).optional(),
};

export function port(fallback: number) {
  return wholeNumber({ min: 0, max: 65_535 }).default(fallback);
}

export function wholeNumber({ min, max }: { min: number; max: number }) {
  const rule = `must be a whole number from ${min} to ${max}`;
  return z.preprocess(asWholeNumber, z.number(rule).int(rule).min(min, rule).max(max, rule));
}

/** Of a text in decimal digits. `Number` also reads `1e1`, `0x10` and blanks. */
function asWholeNumber(value: unknown): unknown {
  return typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value;
}

/** The items of a list that is separated by commas or blanks. */
export function listed(text: string): string[] {
  return text.split(/[\s,]+/).filter((part) => part !== '');
}

export function flag(fallback: boolean) {
  return z
    .enum(['true', 'false'], 'must be true or false')
    .default(fallback ? 'true' : 'false')
    .transform((value) => value === 'true');
}

export function redisUrl() {
  return z.string().refine(isRedisUrl, REDIS_URL_FORMS);
}

function isRedisUrl(url: string): boolean {
  try {
    return parseRedisUrl(url).hosts.length > 0;
  } catch {
    return false;
  }
}

export function postgresUrl() {
  return z.url({ protocol: /^postgres(ql)?$/, error: 'must be a postgres:// URL' });
}

/** URL of the app in browsers, for cookies, HSTS and the check of `Origin`. */
export function publicOrigin(fallback = 'http://localhost:3000') {
  return httpUrl()
    .default(fallback)
    .transform((url) => new URL(url).origin);
}

export function httpUrl() {
  return z.url({ protocol: /^https?$/, error: 'must be an http:// or https:// URL' });
}

/** Each may also come from a file, such as a Docker or Kubernetes secret, that `NAME_FILE` names. */
const MAY_BE_FILES = ['DATABASE_URL', 'GATEWAY_DATABASE_URL', 'REDIS_URL', 'CALLBACK_SECRETS', 'CONTROL_TOKEN'];

/** One line per bad variable, with its name, its rule and, unless it may be a secret, its value. */
export class SettingsError extends Error {
  constructor(readonly problems: string[]) {
    super(`settings are not valid:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.name = 'SettingsError';
  }
}

/**
 * Reads an app's settings from its environment. An empty variable or file counts as not set.
 * @throws SettingsError with every bad variable
 */
export function readSettings<Schema extends z.ZodType>(schema: Schema, env: NodeJS.ProcessEnv): z.infer<Schema> {
  const given = withFiles(Object.fromEntries(Object.entries(env).filter(([, value]) => value !== '')));
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  throw new SettingsError(result.error.issues.map((issue) => describe(issue, given)));
}

function withFiles(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const fromFiles = MAY_BE_FILES.flatMap((name) => {
    const file = env[`${name}_FILE`];
    if (file === undefined || env[name] !== undefined) return [];
    const value = readOrRefuse(file, `${name}_FILE`).trim();
    return value === '' ? [] : [[name, value]];
  });
  return { ...env, ...Object.fromEntries(fromFiles) };
}

function readOrRefuse(file: string, name: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    throw new SettingsError([`${name}: cannot read ${file}`]);
  }
}

function describe(issue: z.core.$ZodIssue, given: NodeJS.ProcessEnv): string {
  const name = issue.path.map(String).join('.');
  const value = given[name];
  if (value === undefined) return `${name}: is required${issue.message === 'is required' ? '' : ` (${issue.message})`}`;
  const shown = /KEY|SECRET|PASSWORD|URL/.test(name) ? '' : `, is ${JSON.stringify(value)}`;
  return `${name}: ${issue.message}${shown}`;
}
