import { randomFillSync } from 'node:crypto';

/** Asking the system costs the same for a few bytes as for many. */
const pool = Buffer.allocUnsafe(8_192);
let used = pool.length;

/** That many random bytes, to be used at once: they are overwritten later. */
export function takeRandom(bytes: number): Buffer {
  const start = take(bytes);
  return pool.subarray(start, start + bytes);
}

/** That many random bytes in hexadecimal digits, two each. */
export function randomHex(bytes: number): string {
  const start = take(bytes);
  return pool.toString('hex', start, start + bytes);
}

function take(bytes: number): number {
  if (used + bytes > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  used += bytes;
  return used - bytes;
}
