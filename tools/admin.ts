// `npm run admin -- COMMAND`: accounts of the Postgres that DATABASE_URL names, or that a running `npm start` uses.
import { existsSync } from 'node:fs';
import { runAdmin } from '../apps/auth/src/run-admin.js';
import { engineUrl } from './stack/engine-urls.js';

if (existsSync('.env')) process.loadEnvFile('.env');
const { env } = process;
const urls = { DATABASE_URL: engineUrl('DATABASE_URL', env), REDIS_URL: engineUrl('REDIS_URL', env) };
process.exit(await runAdmin(process.argv.slice(2), { ...env, ...urls }));
