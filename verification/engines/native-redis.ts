// This machine's redis-server, keeping every write: `PORT=… DATA_DIR=… PATH=… node native-redis.js`. Says 'ready' to its
// parent and ends with it. Stopped as a crash stops it: what it has kept is what it comes back with.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { runUntilStopped } from '../../tools/stack/engine-process.js';
import { untilListening } from './native-engines.js';

const { PORT = '', DATA_DIR = '' } = process.env;
const kept = ['--dir', DATA_DIR, '--save', '', '--appendonly', 'yes', '--appendfsync', 'always'];
const server = spawn('redis-server', ['--port', PORT, '--bind', '127.0.0.1', ...kept], { stdio: 'ignore' });
server.once('exit', () => process.exit(1));
await untilListening(Number(PORT), server);
runUntilStopped(async () => {
  server.removeAllListeners('exit');
  server.kill('SIGKILL');
  await once(server, 'exit');
});
