import { type AxiosAdapter, AxiosHeaders, type AxiosResponse, type InternalAxiosRequestConfig } from 'axios';
import { type Dispatcher, Pool } from 'undici';

/** Longest answer that is read, in bytes. A longer one fails the request. */
const MAX_ANSWER_BYTES = 1_048_576;

/** The part of the timeout that connecting may take. */
const CONNECT_SHARE = 0.75;

/** A request, given to axios as data, which axios hands on untouched. */
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
 * An axios adapter on an undici pool. It posts data that is `Outgoing` to one address and answers with data that is
 * `Answer`: kept-alive connections, a fraction of the CPU of axios's own Node adapter, and errors that tell whether the
 * request can have reached the provider.
 * @param timeoutMs for a request and its whole answer
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
    // Shorter than the whole: an unreachable provider is then distinct from one that does not answer.
    connect: { timeout: Math.ceil(timeoutMs * CONNECT_SHARE) },
    maxResponseSize: MAX_ANSWER_BYTES,
    // `Exchange` has a timeout for the whole, which may be longer than undici's defaults.
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

/** The headers of requests and answers are in their data. */
export const NO_HEADERS = new AxiosHeaders();

type Answered = (status: number, answer: Answer) => void;

/** Drops a byte order mark, which JSON does not allow. */
const utf8 = new TextDecoder();

/** One request and its answer. `pool.request` would cost more in streams and signals than everything else here. */
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
    private readonly timeoutMs: number,
  ) {
    this.timer = setTimeout(() => this.timeOut(), timeoutMs);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller;
    // The timeout passed while the request waited for a connection: do not send it.
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

  private timeOut(): void {
    this.timedOut = new TimeoutError(this.timeoutMs);
    this.controller?.abort(this.timedOut);
    this.reject(this.timedOut);
  }
}

export class TimeoutError extends Error {
  override name = 'TimeoutError';

  constructor(readonly timeoutMs: number) {
    super(`no answer within ${timeoutMs} ms`);
  }
}

/** Errors that prove that the request never reached the provider, in words for the record of the attempt. */
const NOT_SENT: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ENOTFOUND: 'host name not found',
  EAI_AGAIN: 'host name could not be resolved',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  EADDRNOTAVAIL: 'no local address available',
  UND_ERR_CONNECT_TIMEOUT: 'connect timeout',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'certificate is self-signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'certificate chain is self-signed',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'certificate cannot be verified',
  CERT_HAS_EXPIRED: 'certificate has expired',
  ERR_TLS_CERT_ALTNAME_INVALID: 'certificate is for another host',
};

/** True when the request is proven not to have reached the provider: no address, no connection, no TLS. */
export function wasNotSent(error: unknown): boolean {
  if (error instanceof TimeoutError) return false;
  if (codeOf(error) in NOT_SENT) return true;
  // Several addresses were tried: connecting to each of them must have failed.
  return error instanceof AggregateError && error.errors.length > 0 && error.errors.every(wasNotSent);
}

/** Why a request got no answer, in words that name neither host nor address. */
export function describeFailure(error: unknown): string {
  if (error instanceof TimeoutError) return error.message;
  const known = NOT_SENT[codeOf(error)];
  if (known !== undefined) return known;
  if (error instanceof AggregateError) return describeFailure(error.errors[0]);
  return codeOf(error) === 'UND_ERR_RES_EXCEEDED_MAX_SIZE'
    ? 'answer is too large'
    : 'connection lost before the answer';
}

function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
}
