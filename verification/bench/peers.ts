import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What we compare with is a package of its own: installed when it is first asked for. */
const PEERS = 'verification/peers';

/** @returns the folder of the compiled peers */
export function preparePeers(): string {
  const stamp = join(PEERS, 'node_modules/.octo-installed');
  const wanted = createHash('sha256')
    .update(readFileSync(join(PEERS, 'package-lock.json')))
    .digest('hex');
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== wanted) {
    run('installing what is compared with', 'npm', ['install', '--no-save', '--loglevel=error', '--prefix', PEERS]);
    writeFileSync(stamp, wanted);
  }
  run('building it', process.execPath, ['node_modules/typescript/bin/tsc', '-p', PEERS]);
  return join(process.cwd(), PEERS, 'dist');
}

function run(what: string, command: string, args: string[]): void {
  console.log(`${what} …`);
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${what} failed: ${stdout}${stderr}`);
}
