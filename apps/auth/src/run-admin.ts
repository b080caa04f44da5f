// `npm run admin -- COMMAND`, in the image `node dist/bin/admin.js COMMAND`: accounts from the command line.
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { parseArgs } from 'node:util';
import { eq } from 'drizzle-orm';
import { z } from 'zod';
import { Revocations, StoredAccess } from '#access-token';
import {
  accountPrioritySchema,
  budgetSchema,
  freeShareSchema,
  type ProviderSwitch,
  registrationSchema,
} from '#contracts';
import { accounts, type Database, migrate, openDatabase } from '#database';
import { postgresUrl, readSettings, redisUrl } from '#service';
import { AccountsService } from './accounts/accounts.service.js';
import { refuseBreachedPassword } from './accounts/breached-passwords.js';
import { ProviderSwitchesService } from './providers/provider-switches.service.js';
import { type Actor, SecurityLog } from './security-log/security-log.service.js';
import { removeTotp } from './totp/totp.service.js';
import { EndSessions } from './sessions/end-sessions.service.js';
import { RevokedAccess } from './sessions/revoked-access.service.js';

const USAGE = `admin COMMAND
  create --email E [--admin] [--paid]   creates an account, with the role admin, with paid access
  set-password --email E                replaces the password and ends all sessions
  budget --email E [--day N] [--month N]
                                        limits spending, in millionths of the currency; no limit where N is left out
  share --email E [--free S] [--priority P]
                                        free quota: all, equal, or N requests in each window; turns of waiting
                                        messages: urgent, normal or bulk
  disable --email E                     ends all sessions and refuses logins
  enable --email E
  disable-totp --email E                removes one-time codes, of a user who has lost the authenticator
  list                                  all accounts, oldest first
  providers                             all provider accounts, and whether they may be used
  drain --provider P                    sends no new message to a provider account
  disable-provider --provider P         sends nothing to a provider account
  enable-provider --provider P
The password comes from the terminal or from standard input. DATABASE_URL and REDIS_URL are those of auth.`;

const CONNECT_TIMEOUT_MS = 3_000;

interface Options {
  email?: string | undefined;
  admin: boolean;
  paid: boolean;
  day?: string | undefined;
  month?: string | undefined;
  free?: string | undefined;
  priority?: string | undefined;
  provider?: string | undefined;
}

interface Context {
  db: Database;
  service: AccountsService;
  log: SecurityLog;
  switches: ProviderSwitchesService;
}

const WITHOUT_EMAIL = new Set(['list', 'providers', 'drain', 'disable-provider', 'enable-provider']);

const sharePatchSchema = z
  .object({ freeShare: freeShareSchema.optional(), priority: accountPrioritySchema.optional() })
  .refine(({ freeShare, priority }) => freeShare !== undefined || priority !== undefined);

/** Neither an account nor a network address. */
const OPERATOR: Actor = {};

const COMMANDS: Record<string, (context: Context, options: Options) => Promise<string>> = {
  create: async ({ service }, { email, admin, paid }) => {
    const registration = await readRegistration(email);
    const { id } = await service.register(registration, {
      role: admin ? 'admin' : 'user',
      paidAccess: paid,
      actor: OPERATOR,
    });
    return `created ${registration.email}${admin ? ', admin' : ''}${paid ? ', paid access' : ''} (${id})`;
  },
  'set-password': async ({ db, service, log }, { email }) => {
    const id = await idOf(db, email);
    const { password } = await readRegistration(email);
    await service.setPassword(id, password);
    await log.record({ event: 'password_changed', actor: OPERATOR, accountId: id });
    return `the password of ${email} is set; its sessions have ended`;
  },
  budget: async ({ db, service }, { email, day, month }) => {
    const budget = budgetSchema.safeParse({ dayMicros: microsOf(day), monthMicros: microsOf(month) });
    if (!budget.success) throw new Error(budget.error.issues.map(({ message }) => `A limit ${message}.`).join('\n'));
    await service.update(await idOf(db, email), { budget: budget.data }, OPERATOR);
    return `the budget of ${email}: ${day ?? 'no limit'} a day, ${month ?? 'no limit'} a month`;
  },
  share: async ({ db, service }, { email, free, priority }) => {
    const patch = sharePatchSchema.safeParse({ freeShare: /^\d+$/.test(free ?? '') ? Number(free) : free, priority });
    if (!patch.success) throw new Error('Name --free all, equal or N, or --priority urgent, normal or bulk.');
    const account = await service.update(await idOf(db, email), patch.data, OPERATOR);
    return `the free share of ${email}: ${account.freeShare}; its priority: ${account.priority}`;
  },
  disable: async ({ db, service }, { email }) => {
    await service.update(await idOf(db, email), { disabled: true }, OPERATOR);
    return `disabled ${email}; its sessions have ended`;
  },
  enable: async ({ db, service }, { email }) => {
    await service.update(await idOf(db, email), { disabled: false }, OPERATOR);
    return `enabled ${email}`;
  },
  'disable-totp': async ({ db, log }, { email }) => {
    await removeTotp(db, { accountId: await idOf(db, email), log, actor: OPERATOR });
    return `${email} needs no one-time code`;
  },
  providers: async ({ switches }) =>
    (await switches.list()).items.map(({ key, state, changedAt }) => `${key}  ${state} since ${changedAt}`).join('\n'),
  drain: (context, { provider }) => switchProvider(context, provider, 'drained'),
  'disable-provider': (context, { provider }) => switchProvider(context, provider, 'disabled'),
  'enable-provider': (context, { provider }) => switchProvider(context, provider, 'enabled'),
  list: async ({ db }) => {
    const rows = await db.select().from(accounts).orderBy(accounts.createdAt, accounts.id);
    return rows.map(lineOf).join('\n');
  },
};

async function switchProvider(
  { switches }: Context,
  key: string | undefined,
  state: ProviderSwitch['state'],
): Promise<string> {
  if (key === undefined)
    throw new Error('Name the provider account with --provider; the command providers lists them.');
  await switches.change({ key, state }, OPERATOR);
  return `${key} is ${state}`;
}

/** @returns the exit code */
export async function runAdmin(args: string[], env: NodeJS.ProcessEnv): Promise<number> {
  try {
    const { command, options } = readArguments(args);
    process.stdout.write(`${await connected(env, (context) => command(context, options))}\n`);
    return 0;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

function readArguments(args: string[]) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      email: { type: 'string' },
      admin: { type: 'boolean', default: false },
      paid: { type: 'boolean', default: false },
      day: { type: 'string' },
      month: { type: 'string' },
      free: { type: 'string' },
      priority: { type: 'string' },
      provider: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const [name = '', ...rest] = positionals;
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (values.help || command === undefined || rest.length > 0) throw new Error(USAGE);
  if (!WITHOUT_EMAIL.has(name) && values.email === undefined) throw new Error(`${name} needs --email.\n${USAGE}`);
  return { command, options: values };
}

/** Runs `work` with the database, whose tables it creates if auth has never started. */
async function connected(env: NodeJS.ProcessEnv, work: (context: Context) => Promise<string>): Promise<string> {
  const settings = readSettings(z.object({ DATABASE_URL: postgresUrl(), REDIS_URL: redisUrl() }), env);
  const db = openDatabase(settings.DATABASE_URL, { connections: 2 });
  const revocations = new Revocations(settings.REDIS_URL, new StoredAccess(db));
  try {
    await migrate(db);
    await untilConnected(revocations);
    const log = new SecurityLog(db, undefined);
    const ends = new EndSessions(db, new RevokedAccess(db, revocations), log);
    const service = new AccountsService(db, ends, log);
    return await work({ db, log, service, switches: new ProviderSwitchesService(db, log) });
  } finally {
    revocations.onApplicationShutdown();
    await db.$client.end();
  }
}

/** A password that changes while pods cannot hear of it would leave sessions open. */
async function untilConnected(revocations: Revocations): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const connecting = new Promise<void>((resolve) => revocations.whenConnected(resolve));
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(reject, CONNECT_TIMEOUT_MS, new Error('Redis does not answer: check REDIS_URL.'));
  });
  await Promise.race([connecting, timeout]).finally(() => clearTimeout(timer));
}

async function idOf(db: Database, email = ''): Promise<string> {
  const [account] = await db.select().from(accounts).where(eq(accounts.email, email.toLowerCase()));
  if (account === undefined) throw new Error(`No account has the e-mail address ${email}.`);
  return account.id;
}

async function readRegistration(email: string | undefined): Promise<z.infer<typeof registrationSchema>> {
  const parsed = registrationSchema.safeParse({ email, password: await readPassword() });
  if (parsed.success) {
    refuseBreachedPassword(parsed.data.password, 'password');
    return parsed.data;
  }
  throw new Error(parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`).join('\n'));
}

/** Null, for no limit, where the option is left out. */
function microsOf(text: string | undefined): number | null {
  return text === undefined ? null : Number(text === '' ? NaN : text);
}

/** Never from an argument, which other users of the machine can read. */
async function readPassword(): Promise<string> {
  const isTerminal = process.stdin.isTTY;
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: silent, terminal: isTerminal });
  try {
    if (!isTerminal) {
      for await (const line of lines) return line;
      throw new Error('Send the password on standard input.');
    }
    const ask = async (question: string): Promise<string> => {
      process.stderr.write(question);
      const answer = await lines.question('');
      process.stderr.write('\n');
      return answer;
    };
    const password = await ask('Password: ');
    if ((await ask('Repeat the password: ')) !== password) throw new Error('The passwords differ.');
    return password;
  } finally {
    lines.close();
  }
}

function lineOf({ id, email, role, paidAccess, disabled, createdAt }: typeof accounts.$inferSelect): string {
  const notes = [role, ...(paidAccess ? ['paid access'] : []), ...(disabled ? ['disabled'] : [])];
  return `${id}  ${createdAt.toISOString()}  ${email}  ${notes.join(', ')}`;
}
