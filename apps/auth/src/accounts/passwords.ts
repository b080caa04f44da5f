import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { hash, type Options, verify } from '@node-rs/argon2';

/**
 * Argon2id (the default algorithm of the package) with 19 MiB of memory, two passes, one lane: OWASP Password Storage
 * Cheat Sheet, section "Argon2id".
 */
const PARAMETERS: Options = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

/** Hashes computed at once. More would not be done sooner, only keep the rest of the process from running. */
const MOST_AT_ONCE = Math.max(1, availableParallelism() - 1);

const waiting: (() => void)[] = [];
let running = 0;

/** Stands in for the hash of an account that does not exist, so that the answer takes as long. */
const NOBODY = hashPassword(randomBytes(32).toString('base64'));

export function hashPassword(password: string): Promise<string> {
  return inTurn(() => hash(password, PARAMETERS));
}

/** @param passwordHash of the account; `undefined` if there is none, which costs the same and is always wrong */
export async function isPasswordOf(passwordHash: string | undefined, password: string): Promise<boolean> {
  const compared = passwordHash ?? (await NOBODY);
  const matches = await inTurn(() => verify(compared, password));
  return matches && passwordHash !== undefined;
}

async function inTurn<Result>(compute: () => Promise<Result>): Promise<Result> {
  if (running >= MOST_AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve));
  else running += 1;
  try {
    return await compute();
  } finally {
    const next = waiting.shift();
    // The turn goes on to the next in line, or ends.
    if (next === undefined) running -= 1;
    else next();
  }
}
