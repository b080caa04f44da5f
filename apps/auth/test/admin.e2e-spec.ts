import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startPostgres } from '../../../verification/engines/suite-postgres.js';
import { RedisServer } from '../../../verification/engines/redis-server.js';
import { startStack, type Stack } from '../../../test/support/stack.js';
import { Browser, newEmail, PASSWORD, refusalOf } from './browser.js';

const PEM = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' });
const NEW_PASSWORD = 'a password of the operator';

let postgres: Awaited<ReturnType<typeof startPostgres>>;
let redis: RedisServer;
beforeAll(async () => {
  [postgres, redis] = await Promise.all([startPostgres(), RedisServer.start('embedded')]);
});
afterAll(async () => {
  await postgres.stop();
  await redis.remove();
});

const urls = () => ({ DATABASE_URL: postgres.url, REDIS_URL: redis.url });

interface Run {
  code: number;
  output: string;
  errors: string;
}

/** The command as an operator runs it in the image. */
async function admin(args: string[], password = ''): Promise<Run> {
  const child = spawn(process.execPath, ['dist/bin/admin.js', ...args], {
    env: { PATH: process.env['PATH'], ...urls() },
  });
  child.stdin.end(password === '' ? '' : `${password}\n`);
  const [output, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: Number(code), output, errors };
}

const start = (env: Record<string, string> = {}): Promise<Stack> =>
  startStack({ apps: ['auth'], env: { ...urls(), JWT_PRIVATE_KEY: PEM.toString(), ...env } });
const production = () => start({ NODE_ENV: 'production' });
/** `Secure` cookies are for browsers; this one sends all of them. */
const browserAt = (stack: Stack) => new Browser(stack.origin.auth);

describe('the admin command', () => {
  it('creates the first admin on an empty database, with the password from standard input', async () => {
    const email = newEmail();
    const run = await admin(['create', '--email', email, '--admin', '--paid'], NEW_PASSWORD);
    expect(run).toMatchObject({ code: 0, errors: '' });
    const stack = await production();
    try {
      const answer = await browserAt(stack).login(email, NEW_PASSWORD);
      expect(answer.body).toMatchObject({ email, role: 'admin', paidAccess: true });
    } finally {
      await stack.stop();
    }
  });

  it('ends sessions at once when it sets a password or disables an account', async () => {
    const email = newEmail();
    await admin(['create', '--email', email], PASSWORD);
    const stack = await start();
    try {
      const [before, after] = [browserAt(stack), browserAt(stack)];
      await before.login(email);
      expect((await before.get('/auth/me')).status).toBe(200);
      expect(await admin(['set-password', '--email', email], NEW_PASSWORD)).toMatchObject({ code: 0 });
      expect(refusalOf(await before.get('/auth/me'))).toBe('401 unauthenticated');
      expect(refusalOf(await before.post('/auth/refresh'))).toBe('401 unauthenticated');
      expect(refusalOf(await before.login(email))).toBe('401 invalid_credentials');
      expect((await after.login(email, NEW_PASSWORD)).status).toBe(200);
      expect((await after.get('/auth/me')).status).toBe(200);
      expect(await admin(['disable', '--email', email])).toMatchObject({ code: 0 });
      expect(refusalOf(await after.get('/auth/me'))).toBe('401 unauthenticated');
      const { output } = await admin(['list']);
      expect(output).toMatch(new RegExp(`${email}  user, disabled`));
      expect(await admin(['enable', '--email', email])).toMatchObject({ code: 0 });
      expect((await after.login(email, NEW_PASSWORD)).status).toBe(200);
    } finally {
      await stack.stop();
    }
  });

  it('gives an account a share of free quota, and more turns', async () => {
    const email = newEmail();
    await admin(['create', '--email', email], PASSWORD);
    const { output } = await admin(['share', '--email', email, '--free', '3', '--priority', 'urgent']);
    expect(output).toContain(`the free share of ${email}: 3; its priority: urgent`);
  });

  it('says what to mend, and exits 1', async () => {
    const email = newEmail();
    await admin(['create', '--email', email], PASSWORD);
    const runs = [
      { run: await admin([]), says: /create --email/ },
      { run: await admin(['create']), says: /needs --email/ },
      { run: await admin(['create', '--email', newEmail()], 'short'), says: /at least 10 characters/ },
      { run: await admin(['create', '--email', newEmail()]), says: /standard input/ },
      { run: await admin(['create', '--email', email], PASSWORD), says: /email_taken/ },
      { run: await admin(['disable', '--email', newEmail()]), says: /No account/ },
      { run: await admin(['share', '--email', email, '--free', 'half']), says: /--free all, equal or N/ },
      { run: await admin(['drain']), says: /--provider/ },
      { run: await admin(['drain', '--provider', 'free']), says: /No gateway has/ },
      { run: await admin(['create', '--email', newEmail(), '--password', PASSWORD]), says: /Unknown option/ },
    ];
    for (const { run, says } of runs) {
      expect(run.errors).toMatch(says);
      expect(run.code).toBe(1);
    }
  });
});

describe('a start with NODE_ENV=production', () => {
  it('is refused while an enabled account has the demo password, and names the commands that mend it', async () => {
    // Creates the demo accounts.
    await (await start()).stop();
    await expect(production()).rejects.toThrow(
      /admin@octo.local is enabled and has the demo password; run `node dist\/bin\/admin.js disable --email/,
    );
    for (const email of ['free@octo.local', 'paid@octo.local']) await admin(['disable', '--email', email]);
    await expect(production()).rejects.toThrow(/admin@octo.local is enabled/);
    expect(await admin(['set-password', '--email', 'admin@octo.local'], NEW_PASSWORD)).toMatchObject({ code: 0 });
    const stack = await production();
    try {
      expect((await browserAt(stack).login('admin@octo.local', NEW_PASSWORD)).status).toBe(200);
      expect(refusalOf(await browserAt(stack).login('free@octo.local'))).toBe('401 invalid_credentials');
    } finally {
      await stack.stop();
    }
  });
});
