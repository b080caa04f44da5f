import { type AxiosAdapter, AxiosHeaders, type AxiosResponse, type InternalAxiosRequestConfig } from 'axios';
import { type Dispatcher, Pool } from 'undici';

/** Longest answer that is read, in bytes; a longer one fails the request. */
const MAX_ANSWER_BYTES = 1_048_576;

/** Longest that connecting may take, as a part of the whole. */
const CONNECTING = 0.75;

/** A request as it goes out: as data, which axios hands on untouched. */
export class Outgoing {
  constructor(
    readonly body: string,
    /** Names and values in turn. */
    readonly headers: string[],
  ) {}
}

export interface Answer {
  headers: Record<string, string | string[] | undefined>;
  text: string;
}

/**
 * axios on an undici pool, which posts data that is `Outgoing` to one address and answers with data that is `Answer`:
 * kept-alive connections, a fraction of the CPU of axios's own Node adapter, and errors that tell whether the request
 * can have reached the provider.
 * @param timeoutMs for the whole of a request and its answer
 */
export function undiciAdapter(
  url: string,
  timeoutMs: number,
): {
  adapter: AxiosAdapter;
  close: () => Promise<void>;
} {
  const { origin, pathname, search } = new URL(url);
  const path = pathname + search;
  const pool = new Pool(origin, {
    // Shorter than the whole: a provider that cannot be reached is then told from one that does not answer.
    connect: { timeout: Math.ceil(timeoutMs * CONNECTING) },
    maxResponseSize: MAX_ANSWER_BYTES,
    // The whole exchange has a timeout of its own, which may be longer than these would be.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  const adapter = (config: InternalAxiosRequestConfig<Outgoing>) =>
    new Promise<AxiosResponse<Answer>>((resolve, reject) => {
      const { body = '', headers = [] } = config.data ?? {};
      const answered: Answered = (status, data) =>
        resolve({ status, statusText: '', headers: NO_HEADERS, data, config });
      pool.dispatch({ method: 'POST', path, headers, body }, new Exchange(answered, reject, timeoutMs));
    });
  return { adapter, close: () => pool.close() };
}

/** Those of a request and of an answer are in their data. */
export const NO_HEADERS = new AxiosHeaders();

type Answered = (status: number, answer: Answer) => void;

/** Drops a byte order mark, which JSON does not know. */
const utf8 = new TextDecoder();

/** One request and its answer. Not `pool.request`, whose streams and signals cost more than all the rest of it. */
class Exchange implements Dispatcher.DispatchHandler {
  private readonly timer: NodeJS.Timeout;
  private controller: Dispatcher.DispatchController | undefined;
  private timedOut: TimeoutError | undefined;
  private status = 0;
  private headers: Answer['headers'] = {};
  private readonly chunks: Buffer[] = [];

  constructor(
    private readonly answered: Answered,
    private readonly reject: (error: Error) => void,
    timeoutMs: number,
  ) {
    this.timer = setTimeout(() => this.giveUp(), timeoutMs);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller;
    // Given up while it waited for a connection: it is not sent any more.
    if (this.timedOut !== undefined) controller.abort(this.timedOut);
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: Answer['headers']): void {
    this.status = status;
    this.headers = headers;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.chunks.push(chunk);
  }

  onResponseEnd(): void {
    clearTimeout(this.timer);
    const { status, headers, chunks } = this;
    const [first] = chunks;
    const body = chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks);
    this.answered(status, { headers, text: utf8.decode(body) });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    clearTimeout(this.timer);
    this.reject(error);
  }

  private giveUp(): void {
    this.timedOut = new TimeoutError();
    this.controller?.abort(this.timedOut);
    this.reject(this.timedOut);
  }
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
