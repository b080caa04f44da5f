import { randomFillSync } from 'node:crypto';

/** Asking the system costs the same for a few bytes as for many. */
const pool = Buffer.allocUnsafe(8_192);
let used = pool.length;

/** That many random bytes, to be used at once: they are overwritten later. */
export function takeRandom(bytes: number): Buffer {
  if (used + bytes > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  used += bytes;
  return pool.subarray(used - bytes, used);
}
