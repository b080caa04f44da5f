import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Locks a data folder for this process: two embedded Postgres servers would damage it.
 * @throws when a running process holds the lock
 * @returns a function that releases the lock
 */
export function lockDataDir(dir: string): () => void {
  mkdirSync(dir, { recursive: true });
  const file = join(dir, 'pid');
  const owner = ownerOf(file);
  if (owner !== undefined && isAlive(owner)) {
    throw new Error(
      `${dir} is in use by process ${owner}: stop that stack, or set DATA_DIR to another folder. ` +
        `If that process is not Octo, remove ${file}.`,
    );
  }
  writeFileSync(file, String(process.pid));
  return () => rmSync(file, { force: true });
}

function ownerOf(file: string): number | undefined {
  try {
    return Number(readFileSync(file, 'utf8')) || undefined;
  } catch {
    // No file: no stack has used this folder, or the last one released it.
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
