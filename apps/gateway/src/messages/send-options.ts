import type { IncomingHttpHeaders } from 'node:http';
import { idempotencyKeySchema } from '#contracts';
import { ProblemException } from '#service';
import { childTraceparent } from '../trace-context.js';

/** What a request asks for beside its body. */
export interface SendOptions {
  requestId: string;
  traceparent: string;
  idempotencyKey: string | undefined;
  respondAsync: boolean;
}

/** `respond-async` among the preferences (RFC 7240, 4.1). */
const RESPOND_ASYNC = /(^|,)\s*respond-async\s*(;|,|$)/i;

/** @throws ProblemException `invalid_message` for an invalid `Idempotency-Key` */
export function readSendOptions(headers: IncomingHttpHeaders, requestId: string): SendOptions {
  return {
    requestId,
    traceparent: childTraceparent(headers['traceparent'] === undefined ? undefined : String(headers['traceparent'])),
    idempotencyKey: keyOf(headers['idempotency-key']),
    respondAsync: RESPOND_ASYNC.test(String(headers['prefer'] ?? '')),
  };
}

function keyOf(header: string | string[] | undefined): string | undefined {
  if (header === undefined) return undefined;
  const key = idempotencyKeySchema.safeParse(header);
  if (key.success) return key.data;
  throw new ProblemException('invalid_message', key.error.issues.map(({ message }) => message).join('; '));
}
