// Creates the secrets of docker-compose.yml at the first start, each in the volumes of the services that need it, and
// keeps them at later starts. Variables replace generated secrets.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const { SECRETS_DIR = '/secrets', ...env } = process.env;

/** The file appears whole or not at all: another service may be reading it. */
function write(name, text, mode = 0o400) {
  const file = join(SECRETS_DIR, name);
  rmSync(`${file}.new`, { force: true });
  writeFileSync(`${file}.new`, text, { mode });
  renameSync(`${file}.new`, file);
}

function keep(name, create, mode) {
  const file = join(SECRETS_DIR, name);
  if (!existsSync(file)) write(name, create(), mode);
  return readFileSync(file, 'utf8');
}

const password = () => randomBytes(32).toString('hex');
const signingKey = () =>
  generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' });
const postgresUrl = (role, secret) => `postgres://${role}:${encodeURIComponent(secret)}@postgres:5432/octo`;

keep('auth/jwt-key.pem', signingKey);
const owner = env.POSTGRES_PASSWORD || keep('auth/owner-password', password);
const gateway = env.GATEWAY_POSTGRES_PASSWORD || keep('auth/gateway-password', password);
const redis = env.REDIS_PASSWORD || keep('auth/redis-password', password);

// Gateways get the role of the owner only if the operator has given no other one with their own Postgres.
const ownerUrl = env.DATABASE_URL || postgresUrl('octo', owner);
const gatewayUrl = env.GATEWAY_DATABASE_URL || (env.DATABASE_URL ? '' : postgresUrl('octo_gateway', gateway));
const redisUrl = env.REDIS_URL || `redis://:${encodeURIComponent(redis)}@redis:6379`;
for (const [name, url] of [
  ['auth/database-url', ownerUrl],
  ['auth/gateway-database-url', gatewayUrl],
  ['auth/redis-url', redisUrl],
  ['gateway/database-url', gatewayUrl || ownerUrl],
  ['gateway/redis-url', redisUrl],
]) {
  write(name, url);
}

// These servers run as other users; no other service mounts their volumes.
keep('postgres/superuser-password', password, 0o444);
write('postgres/owner-password', owner, 0o444);
write('redis/redis.conf', `requirepass ${JSON.stringify(redis)}\n`, 0o444);
write('redis/password', redis, 0o444);
