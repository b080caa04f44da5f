import { freePort } from '../../tools/stack/free-port.js';
import { ManagedProcess } from '../../tools/stack/managed-process.js';
import { createDatabase } from './postgres-server.js';

const EMBEDDED = 'dist/tools/stack/embedded-postgres.js';

/** An empty database for one test suite, on the engine that the tests run with. */
export async function startPostgres(): Promise<{ url: string; stop: () => Promise<void> }> {
  const adminUrl = process.env['TEST_POSTGRES_URL'];
  if (adminUrl !== undefined) return { url: await createDatabase(adminUrl), stop: () => Promise.resolve() };
  const PORT = String(await freePort());
  const postgres = new ManagedProcess({ name: 'postgres', entry: EMBEDDED, env: { PORT }, onLine: () => {} });
  await postgres.start();
  return { url: `postgres://postgres@127.0.0.1:${PORT}/postgres`, stop: () => postgres.stop() };
}
