import { randomFillSync } from 'node:crypto';

/** The system call costs the same for a few bytes as for many. */
const pool = Buffer.allocUnsafe(8_192);
let used = pool.length;

/** Random bytes. Use them at once: a later refill of the pool overwrites them. */
export function takeRandom(bytes: number): Buffer {
  const start = take(bytes);
  return pool.subarray(start, start + bytes);
}

/** Random bytes as hexadecimal digits, two a byte. */
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
