import { fileURLToPath } from 'node:url';
import { freePort } from '../../tools/stack/free-port.js';
import { ManagedProcess } from '../../tools/stack/managed-process.js';
import { createDatabase } from './native-engines.js';

const EMBEDDED = fileURLToPath(new URL('../../dist/tools/stack/embedded-postgres.js', import.meta.url));

/** An empty database for one suite, on the engine the tests are run with. */
export async function startPostgres(): Promise<{ url: string; stop: () => Promise<void> }> {
  const adminUrl = process.env['TEST_POSTGRES_URL'];
  if (adminUrl !== undefined) return { url: await createDatabase(adminUrl), stop: () => Promise.resolve() };
  const PORT = String(await freePort());
  const postgres = new ManagedProcess({ name: 'postgres', entry: EMBEDDED, env: { PORT }, onLine: () => {} });
  await postgres.start();
  return { url: `postgres://postgres@127.0.0.1:${PORT}/postgres`, stop: () => postgres.stop() };
}
