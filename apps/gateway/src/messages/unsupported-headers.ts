import type { IncomingHttpHeaders } from 'node:http';
import { ProblemException } from '#service';

/**
 * A header of the contract that this version does not serve yet is an error, never silently ignored: a client that
 * sends an idempotency key relies on it.
 */
export function refuseUnsupportedHeaders(headers: IncomingHttpHeaders): void {
  if (headers['idempotency-key'] !== undefined) throw notSupported('Idempotency-Key');
  if (/(^|,)\s*respond-async\s*(;|,|$)/i.test(String(headers['prefer'] ?? '')))
    throw notSupported('Prefer: respond-async');
}

function notSupported(header: string): ProblemException {
  return new ProblemException('not_supported', `${header} is not supported yet; leave the header out.`);
}
