import { randomBytes } from 'node:crypto';

/** Version 00 of W3C Trace Context: trace id, parent id, flags; ids of only zeros are invalid. */
const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})$/;

/**
 * The `traceparent` for calls made on behalf of a request: the caller's trace with a new parent id, or a new trace
 * when the caller sent none or an invalid one (W3C Trace Context, 3.2 and 4.3).
 */
export function childTraceparent(incoming: string | undefined): string {
  const [, traceId, flags] = TRACEPARENT.exec(incoming ?? '') ?? [];
  const random = randomBytes(24).toString('hex');
  return `00-${traceId ?? random.slice(0, 32)}-${random.slice(32)}-${flags ?? '00'}`;
}
