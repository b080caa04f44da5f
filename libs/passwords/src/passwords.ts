import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { hash, type Options, verify } from '@node-rs/argon2';
import { HashQueue, type Place } from './hash-queue.js';

/**
 * Argon2id (the default algorithm of the package) with 19 MiB of memory, two passes, one lane: OWASP Password Storage
 * Cheat Sheet, section "Argon2id".
 */
const PARAMETERS: Options = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

/** More concurrent hashes would not finish sooner and would starve the rest of the process. */
const concurrency = Math.max(1, availableParallelism() - 1);
const queue = new HashQueue({ concurrency, expectedMs: 30 });

/** Compared for an e-mail address without an account, so that the answer takes the same time. */
const DUMMY_HASH = hash(randomBytes(32).toString('base64'), PARAMETERS);

/**
 * Runs a request that hashes a password, in order of arrival.
 * @param gone aborts when the client disconnects: its password is not hashed any more
 * @throws ProblemException unavailable: passwords that would take more than 2 s are waiting
 */
export function inPasswordQueue<Result>(gone: AbortSignal, work: (place: Place) => Promise<Result>): Promise<Result> {
  return queue.admit(work, gone);
}

/** @param place of the request in the queue; without one the password takes its own */
export function hashPassword(password: string, place?: Place): Promise<string> {
  return inPlace(place, () => hash(password, PARAMETERS));
}

/**
 * @param passwordHash of the account; `undefined` without an account: always false, after the same time
 * @param place of the request in the queue; without one the password takes its own
 */
export async function isPasswordOf(
  passwordHash: string | undefined,
  password: string,
  place?: Place,
): Promise<boolean> {
  const compared = passwordHash ?? (await DUMMY_HASH);
  const matches = await inPlace(place, () => verify(compared, password));
  return matches && passwordHash !== undefined;
}

function inPlace<Result>(place: Place | undefined, compute: () => Promise<Result>): Promise<Result> {
  return place === undefined ? queue.admit((own) => own.run(compute)) : place.run(compute);
}
