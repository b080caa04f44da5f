import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

/** A package of its own: only benches need what it installs. */
const PEERS = 'verification/peers';

/** Installs and compiles the package. @returns its folder */
export function preparePeers(): string {
  run('installing the peers', 'npm', ['install', '--no-save', '--loglevel=error', '--prefix', PEERS]);
  run('building the peers', process.execPath, ['node_modules/typescript/bin/tsc', '-p', PEERS]);
  return join(process.cwd(), PEERS);
}

function run(what: string, command: string, args: string[]): void {
  console.log(`${what} …`);
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${what} failed: ${stdout}${stderr}`);
}
