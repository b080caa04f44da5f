import { type AxiosAdapter, AxiosHeaders, type AxiosResponse, type InternalAxiosRequestConfig } from 'axios';
import { Client, type Dispatcher, Pool, ProxyAgent } from 'undici';
import { BodyParts, decodeText, decompress, MAX_ANSWER_BYTES } from './answer-body.js';
import type { OutgoingRequest } from './request-template.js';

/** The part of the timeout that connecting may take. */
const CONNECT_SHARE = 0.75;

/** A request, given to axios as data, which axios hands on untouched. */
export class Outgoing {
  constructor(
    readonly request: OutgoingRequest,
    /** Sends it on a connection of its own: a kept-alive one may be about to close. */
    readonly isOnFreshConnection = false,
  ) {}
}

export interface Answer {
  headers: Record<string, string | string[] | undefined>;
  text: string;
}

/**
 * An axios adapter on an undici pool for one origin. It sends data that is `Outgoing` and answers with data that is
 * `Answer`: kept-alive connections, a fraction of the CPU of axios's own Node adapter, and errors that tell whether the
 * request can have reached the provider.
 * @param timeoutMs for a request and its whole answer
 * @param proxyUrl of an HTTP proxy that leads to the origin
 */
export function undiciAdapter(
  origin: string,
  timeoutMs: number,
  proxyUrl?: string,
): {
  adapter: AxiosAdapter;
  counts: () => Pool['stats'] | undefined;
  close: () => Promise<void>;
} {
  // Shorter than the whole: an unreachable provider is then distinct from one that does not answer.
  const connect = { timeout: Math.ceil(timeoutMs * CONNECT_SHARE) };
  const options = {
    connect,
    maxResponseSize: MAX_ANSWER_BYTES,
    // `Exchange` has a timeout for the whole, which may be longer than undici's defaults.
    headersTimeout: 0,
    bodyTimeout: 0,
  };
  const open = (openDirectly: () => Dispatcher): Dispatcher =>
    proxyUrl === undefined
      ? openDirectly()
      : new ProxyAgent({ ...options, uri: proxyUrl, proxyTls: connect, requestTls: connect });
  const pool = open(() => new Pool(origin, options));
  const dispatch = ({ request, isOnFreshConnection }: Outgoing, exchange: Exchange): void => {
    const dispatcher = isOnFreshConnection ? open(() => new Client(origin, options)) : pool;
    try {
      dispatcher.dispatch({ origin, ...request, method: request.method }, exchange);
    } catch (error) {
      exchange.fail(error as Error);
    }
    if (isOnFreshConnection) void dispatcher.close();
  };
  const adapter = (config: InternalAxiosRequestConfig<Outgoing>) =>
    new Promise<AxiosResponse<Answer>>((resolve, reject) => {
      if (config.data === undefined) throw new TypeError('the adapter sends data that is Outgoing');
      const answered: Answered = (status, data) =>
        resolve({ status, statusText: '', headers: NO_HEADERS, data, config });
      dispatch(config.data, new Exchange(answered, reject, timeoutMs));
    });
  const counts = (): Pool['stats'] | undefined => (pool instanceof Pool ? pool.stats : undefined);
  return { adapter, counts, close: () => pool.close() };
}

/** The headers of requests and answers are in their data. */
export const NO_HEADERS = new AxiosHeaders();

type Answered = (status: number, answer: Answer) => void;

/** One request and its answer. `pool.request` would cost more in streams and signals than everything else here. */
class Exchange implements Dispatcher.DispatchHandler {
  private readonly timer: NodeJS.Timeout;
  /** Undefined until the first byte is about to leave: undici sets it when a connection takes the request. */
  private controller: Dispatcher.DispatchController | undefined;
  private timedOut: TimeoutError | undefined;
  private status = 0;
  private headers: Answer['headers'] = {};
  private readonly body = new BodyParts();

  constructor(
    private readonly answered: Answered,
    private readonly reject: (error: Error) => void,
    private readonly timeoutMs: number,
  ) {
    this.timer = setTimeout(() => this.timeOut(), timeoutMs);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // The timeout passed while the request waited for a connection: do not send it.
    if (this.timedOut !== undefined) controller.abort(this.timedOut);
    else this.controller = controller;
  }

  /** Called for each informational answer (1xx) as well; the final one comes last. */
  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: Answer['headers']): void {
    this.status = status;
    this.headers = headers;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.body.add(chunk);
  }

  onResponseEnd(): void {
    clearTimeout(this.timer);
    const { status, headers } = this;
    const body = this.body.whole();
    const encoding = headers['content-encoding'];
    const answered = (bytes: Buffer): void =>
      this.answered(status, { headers, text: decodeText(bytes, headers['content-type']) });
    if (encoding === undefined) return answered(body);
    decompress(body, String(encoding)).then(answered, (error: unknown) => this.reject(this.unreadable(error)));
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.fail(error);
  }

  fail(error: Error): void {
    clearTimeout(this.timer);
    this.reject(this.controller === undefined ? new NotSentError(error) : this.explained(error));
  }

  private explained(error: Error): Error {
    return codeOf(error) === 'UND_ERR_RES_EXCEEDED_MAX_SIZE' ? this.unreadable(error) : error;
  }

  private unreadable(cause: unknown): UnreadableAnswerError {
    return new UnreadableAnswerError(this.status, this.headers, { cause });
  }

  private timeOut(): void {
    this.timedOut = new TimeoutError(this.timeoutMs);
    this.controller?.abort(this.timedOut);
    this.reject(this.controller === undefined ? new NotSentError(this.timedOut) : this.timedOut);
  }
}

export class TimeoutError extends Error {
  override name = 'TimeoutError';

  constructor(timeoutMs: number) {
    super(`no answer within ${timeoutMs} ms`);
  }
}

/** Proven: the request never left, as no connection took it. */
export class NotSentError extends Error {
  override name = 'NotSentError';

  constructor(cause: Error) {
    super(describeFailure(cause), { cause });
  }
}

/** The answer came, and is too large or compressed in a way that cannot be read. */
export class UnreadableAnswerError extends Error {
  override name = 'UnreadableAnswerError';

  constructor(
    readonly status: number,
    readonly headers: Answer['headers'],
    options: ErrorOptions,
  ) {
    super('answer is too large or not readable', options);
  }
}

/** Why no connection could be made, in words for the record of the attempt, which name neither host nor address. */
const FAILURES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  ENOTFOUND: 'host name not found',
  EAI_AGAIN: 'host name could not be resolved',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  ETIMEDOUT: 'connect timeout',
  EADDRNOTAVAIL: 'no local address available',
  UND_ERR_CONNECT_TIMEOUT: 'connect timeout',
  UND_ERR_SOCKET: 'connection closed',
  UND_ERR_INVALID_ARG: 'the request has an invalid header',
  UND_ERR_HEADERS_OVERFLOW: 'the headers of the answer are too large',
  // Of a proxy that did not answer CONNECT with 200: the gateway itself aborts only when its time is over.
  UND_ERR_ABORTED: 'the proxy refused the connection',
  EPROTO: 'TLS handshake failed',
  ERR_SSL_WRONG_VERSION_NUMBER: 'TLS handshake failed',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'certificate is self-signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'certificate chain is self-signed',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'certificate cannot be verified',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'certificate cannot be verified',
  CERT_HAS_EXPIRED: 'certificate has expired',
  CERT_NOT_YET_VALID: 'certificate is not valid yet',
  ERR_TLS_CERT_ALTNAME_INVALID: 'certificate is for another host',
};

/** Why a request got no answer. */
export function describeFailure(error: unknown): string {
  if (error instanceof TimeoutError || error instanceof NotSentError || error instanceof UnreadableAnswerError) {
    return error.message;
  }
  if (error instanceof AggregateError && error.errors.length > 0) return describeFailure(error.errors[0]);
  const code = codeOf(error);
  if (code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_')) return FAILURES[code] ?? 'TLS handshake failed';
  return FAILURES[code] ?? 'connection lost before the answer';
}

function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
}
