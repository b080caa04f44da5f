import { randomHex } from './random.js';

/** Version 00 of W3C Trace Context: trace id, parent id, flags; ids of only zeros are invalid. */
const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})$/;

/**
 * The `traceparent` for calls made on behalf of a request: the caller's trace with a new parent id, or a new trace
 * when the caller sent none or an invalid one (W3C Trace Context, 3.2 and 4.3).
 */
export function childTraceparent(incoming: string | undefined): string {
  const [, traceId, flags] = (incoming === undefined ? null : TRACEPARENT.exec(incoming)) ?? [];
  return `00-${traceId ?? randomHex(16)}-${randomHex(8)}-${flags ?? '00'}`;
}

/** For a call made on behalf of one of our own: that trace with a new parent id. */
export function nextTraceparent(own: string): string {
  return own.slice(0, PARENT_ID_AT) + randomHex(8) + own.slice(PARENT_ID_AT + 16);
}

const PARENT_ID_AT = '00-'.length + 32 + '-'.length;
