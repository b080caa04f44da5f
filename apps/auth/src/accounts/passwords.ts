import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { hash, type Options, verify } from '@node-rs/argon2';

/**
 * Argon2id (the default algorithm of the package) with 19 MiB of memory, two passes, one lane: OWASP Password Storage
 * Cheat Sheet, section "Argon2id".
 */
const PARAMETERS: Options = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

/** Concurrent hashes. More would not finish sooner and would starve the rest of the process. */
const MAX_CONCURRENT = Math.max(1, availableParallelism() - 1);

const waiting: (() => void)[] = [];
let running = 0;

/** Compared for an e-mail address without an account, so that the answer takes the same time. */
const DUMMY_HASH = hashPassword(randomBytes(32).toString('base64'));

export function hashPassword(password: string): Promise<string> {
  return inTurn(() => hash(password, PARAMETERS));
}

/** @param passwordHash of the account; `undefined` without an account: always false, after the same time */
export async function isPasswordOf(passwordHash: string | undefined, password: string): Promise<boolean> {
  const compared = passwordHash ?? (await DUMMY_HASH);
  const matches = await inTurn(() => verify(compared, password));
  return matches && passwordHash !== undefined;
}

async function inTurn<Result>(compute: () => Promise<Result>): Promise<Result> {
  if (running >= MAX_CONCURRENT) await new Promise<void>((resolve) => waiting.push(resolve));
  else running += 1;
  try {
    return await compute();
  } finally {
    const next = waiting.shift();
    // Passes the slot to the next in line, or frees it.
    if (next === undefined) running -= 1;
    else next();
  }
}
