// This machine's Postgres: `PORT=… DATA_DIR=… PATH=… node native-postgres.js`. Says 'ready' to its parent and ends with it.
// Stopped as a crash stops it: without a checkpoint, and without a word to its clients.
import { once } from 'node:events';
import { runUntilStopped } from '../../tools/stack/engine-process.js';
import { runPostgres } from './native-engines.js';

const { PORT = '', DATA_DIR = '' } = process.env;
const { child: server } = await runPostgres({ dir: DATA_DIR, port: Number(PORT) });
server.once('exit', () => process.exit(1));
runUntilStopped(async () => {
  server.removeAllListeners('exit');
  // SIGKILL would leave its children behind, which hold the shared memory that a new server needs.
  server.kill('SIGQUIT');
  await once(server, 'exit');
});
