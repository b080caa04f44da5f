import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate } from 'node:zlib';
import { type AxiosAdapter, AxiosHeaders, type AxiosResponse, type InternalAxiosRequestConfig } from 'axios';
import { Client, type Dispatcher, Pool, ProxyAgent } from 'undici';
import type { OutgoingRequest } from './request-template.js';

/** Longest answer that is read, in bytes, also after decompression. A longer one fails the request. */
const MAX_ANSWER_BYTES = 1_048_576;

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
  close: () => Promise<void>;
} {
  const options = {
    // Shorter than the whole: an unreachable provider is then distinct from one that does not answer.
    connect: { timeout: Math.ceil(timeoutMs * CONNECT_SHARE) },
    maxResponseSize: MAX_ANSWER_BYTES,
    // `Exchange` has a timeout for the whole, which may be longer than undici's defaults.
    headersTimeout: 0,
    bodyTimeout: 0,
  };
  const open = (): Dispatcher =>
    proxyUrl === undefined ? new Pool(origin, options) : new ProxyAgent({ ...options, uri: proxyUrl });
  const pool = open();
  const dispatch = ({ request, isOnFreshConnection }: Outgoing, exchange: Exchange): void => {
    const dispatcher = isOnFreshConnection ? new Client(origin, options) : pool;
    dispatcher.dispatch({ origin, ...request, method: request.method }, exchange);
    if (isOnFreshConnection) void dispatcher.close();
  };
  const adapter = (config: InternalAxiosRequestConfig<Outgoing>) =>
    new Promise<AxiosResponse<Answer>>((resolve, reject) => {
      if (config.data === undefined) throw new TypeError('the adapter sends data that is Outgoing');
      const answered: Answered = (status, data) =>
        resolve({ status, statusText: '', headers: NO_HEADERS, data, config });
      dispatch(config.data, new Exchange(answered, reject, timeoutMs));
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
  /** Undefined until the first byte is about to leave: undici sets it when a connection takes the request. */
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
    this.chunks.push(chunk);
  }

  onResponseEnd(): void {
    clearTimeout(this.timer);
    const { status, headers, chunks } = this;
    const [first] = chunks;
    const body = chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks);
    const encoding = headers['content-encoding'];
    if (encoding === undefined) return this.answered(status, { headers, text: utf8.decode(body) });
    decompress(body, String(encoding)).then(
      (bytes) => this.answered(status, { headers, text: utf8.decode(bytes) }),
      (error: unknown) => this.reject(new UnreadableAnswerError(status, { cause: error })),
    );
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    clearTimeout(this.timer);
    this.reject(this.controller === undefined ? new NotSentError(error) : this.explained(error));
  }

  private explained(error: Error): Error {
    const isTooLarge = codeOf(error) === 'UND_ERR_RES_EXCEEDED_MAX_SIZE';
    return isTooLarge ? new UnreadableAnswerError(this.status, { cause: error }) : error;
  }

  private timeOut(): void {
    this.timedOut = new TimeoutError(this.timeoutMs);
    this.controller?.abort(this.timedOut);
    this.reject(this.controller === undefined ? new NotSentError(this.timedOut) : this.timedOut);
  }
}

const DECODERS: Readonly<Record<string, (body: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>>> = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
  identity: (body) => Promise.resolve(body),
};

/** Undoes the content codings of an answer, the last one first (RFC 9110, 8.4). */
async function decompress(body: Buffer, encodings: string): Promise<Buffer> {
  let bytes = body;
  for (const encoding of encodings.toLowerCase().split(',').toReversed()) {
    const decode = DECODERS[encoding.trim()];
    if (decode === undefined) throw new TypeError(`unknown content coding "${encoding.trim()}"`);
    bytes = await decode(bytes, { maxOutputLength: MAX_ANSWER_BYTES });
  }
  return bytes;
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
