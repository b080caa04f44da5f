import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { type SQL, sql } from 'drizzle-orm';
import type { Queries } from './open-database.js';

/** Tables of the gateways. */
export const GATEWAY_TABLES = [
  'messages',
  'callbacks',
  'idempotency_keys',
  'gateway_pods',
  'provider_provisioning',
  'account_turns',
];

/** Gateways add rows to these tables, and change none: the ledger, and the provider accounts that an admin can disable. */
export const APPEND_ONLY_TABLES = ['ledger_entries', 'provider_switches'];

/** What gateways read in other tables. By column, so that a new column stays hidden until it is listed here. */
export const READ_BY_GATEWAYS: Readonly<Record<string, readonly string[]>> = {
  accounts: ['id', 'paid_access', 'disabled', 'budget_day_micros', 'budget_month_micros', 'priority', 'free_share'],
  api_keys: ['id', 'account_id', 'hash', 'expires_at', 'last_used_at'],
  revoked_access: ['access_id', 'expires_at'],
  callback_secrets: ['account_id', 'version', 'created_at'],
};

/**
 * Gives the gateways' role what gateways need and nothing else: it cannot read passwords, one-time codes and sessions,
 * and cannot change accounts. Creates the role if it does not exist. If the URL has a password, sets it.
 * @param gatewayUrl the `DATABASE_URL` of the gateways
 */
export async function grantToGateways(tx: Queries, gatewayUrl: string): Promise<void> {
  const { username, password } = new URL(gatewayUrl);
  const name = decodeURIComponent(username);
  const role = sql.identifier(name);
  await ensureRole(tx, name, decodeURIComponent(password));
  await tx.execute(sql`revoke create on schema public from public`);
  // Rights that an earlier release granted. Other sessions see the new rights only, once this transaction commits.
  await tx.execute(sql`revoke all on all tables in schema public from ${role}`);
  await tx.execute(sql`grant select, insert, update, delete on ${identifiers(GATEWAY_TABLES)} to ${role}`);
  await tx.execute(sql`grant select, insert on ${identifiers(APPEND_ONLY_TABLES)} to ${role}`);
  for (const [table, columns] of Object.entries(READ_BY_GATEWAYS)) {
    await tx.execute(sql`grant select (${identifiers(columns)}) on ${sql.identifier(table)} to ${role}`);
  }
  await tx.execute(sql`grant update (last_used_at) on api_keys to ${role}`);
  await tx.execute(sql`grant usage on schema drizzle to ${role}`);
  await tx.execute(sql`grant select on drizzle.__drizzle_migrations to ${role}`);
}

async function ensureRole(tx: Queries, name: string, password: string): Promise<void> {
  const { rows } = await tx.execute(
    sql`select current_user = ${name} as is_owner, exists (select from pg_roles where rolname = ${name}) as is_known`,
  );
  if (rows[0]?.['is_owner'] === true) throw new Error('GATEWAY_DATABASE_URL must name another role than DATABASE_URL');
  const role = sql.identifier(name);
  if (rows[0]?.['is_known'] !== true) await tx.execute(sql`create role ${role} login`);
  if (password !== '') await tx.execute(sql`alter role ${role} password ${scramVerifier(password)}`);
}

/** As a literal, because this statement takes no parameters. Postgres stores and logs no password (RFC 5803). */
function scramVerifier(password: string): SQL {
  const iterations = 4_096;
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256');
  const keyOf = (name: string): Buffer => createHmac('sha256', salted).update(name).digest();
  const storedKey = createHash('sha256').update(keyOf('Client Key')).digest('base64');
  const serverKey = keyOf('Server Key').toString('base64');
  return sql.raw(`'SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${storedKey}:${serverKey}'`);
}

function identifiers(names: readonly string[]): SQL {
  return sql.join(
    names.map((name) => sql.identifier(name)),
    sql`, `,
  );
}
