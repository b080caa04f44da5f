import { dictionary } from '@zxcvbn-ts/language-common';
import { ProblemException } from '#service';

/** The passwords that appear most often in breaches, in lower case; about 1,500 are as long as a password must be. */
const BREACHED = new Set(dictionary['passwords-common']);

/**
 * @param field of the request body
 * @throws ProblemException invalid_request
 */
export function refuseBreachedPassword(password: string, field: string): void {
  if (!BREACHED.has(password.toLowerCase())) return;
  const detail = 'is known from breaches: choose another password';
  throw new ProblemException('invalid_request', `/${field} ${detail}`, { errors: [{ pointer: `/${field}`, detail }] });
}
