// PGlite, Postgres compiled to WebAssembly, on a real port: `PORT=… DATA_DIR=… node embedded-postgres.js`.
import { mkdirSync } from 'node:fs';
import { PGlite } from '@electric-sql/pglite';
import { PGLiteSocketServer } from '@electric-sql/pglite-socket';
import { runUntilStopped } from './engine-process.js';

/** Used by `keepQueriesWhole`; private in pglite-socket 0.2.17. */
interface QueryQueue {
  enqueue(connection: number, message: Uint8Array, onData: (data: Uint8Array) => void): Promise<number>;
}

/** Parse, Bind, Describe, Execute and Close: parts of a query, which a Sync ends (PostgreSQL frontend protocol). */
const UNFINISHED = new Set(Array.from('PBDEC', (letter) => letter.charCodeAt(0)));

/**
 * All connections share one session, and the server switches between them after each message. The parts of two
 * queries could mix, and rows would reach the wrong client. So the parts of a query wait here for the message that ends it.
 */
function keepQueriesWhole(queue: QueryQueue): void {
  const waiting = new Map<number, Uint8Array[]>();
  const enqueue = queue.enqueue.bind(queue);
  queue.enqueue = (connection, message, onData) => {
    const parts = [...(waiting.get(connection) ?? []), message];
    if (UNFINISHED.has(message[0] ?? 0)) {
      waiting.set(connection, parts);
      return Promise.resolve(0);
    }
    waiting.delete(connection);
    return enqueue(connection, new Uint8Array(Buffer.concat(parts)), onData);
  };
}

const dataDir = process.env['DATA_DIR'];
if (dataDir !== undefined) mkdirSync(dataDir, { recursive: true });
const db = await (dataDir === undefined ? PGlite.create() : PGlite.create(dataDir));
const server = new PGLiteSocketServer({ db, port: Number(process.env['PORT']), maxConnections: 100 });
keepQueriesWhole((server as unknown as { queryQueue: QueryQueue }).queryQueue);
await server.start();
runUntilStopped(async () => {
  await server.stop();
  await db.close();
});
