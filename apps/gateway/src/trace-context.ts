import { randomHex } from './random.js';

/** Version 00 of W3C Trace Context: trace id, parent id, flags. An id of only zeros is invalid. */
const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})$/;

/**
 * The `traceparent` of calls that a request causes: the caller's trace with a new parent id, or a new trace when the
 * caller's header is missing or invalid (W3C Trace Context, 3.2 and 4.3).
 */
export function childTraceparent(incoming: string | undefined): string {
  const [, traceId, flags] = (incoming === undefined ? null : TRACEPARENT.exec(incoming)) ?? [];
  return `00-${traceId ?? randomHex(16)}-${randomHex(8)}-${flags ?? '00'}`;
}

/** The `traceparent` of the next call in a trace that the gateway has validated: the same trace with a new parent id. */
export function nextTraceparent(own: string): string {
  return own.slice(0, PARENT_ID_AT) + randomHex(8) + own.slice(PARENT_ID_AT + 16);
}

const PARENT_ID_AT = '00-'.length + 32 + '-'.length;
