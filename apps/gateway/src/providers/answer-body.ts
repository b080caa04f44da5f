import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate, inflateRaw } from 'node:zlib';

/** Longest answer that is read, in bytes, also after decompression. A longer one fails the request. */
export const MAX_ANSWER_BYTES = 1_048_576;

/** Collects the parts of a body. A server may send single bytes: keeping each part would keep what it was read into. */
export class BodyParts {
  private bytes: Buffer = Buffer.alloc(0);
  private length = 0;

  add(part: Buffer): void {
    const length = this.length + part.length;
    // Most bodies have one part, which is not copied.
    if (this.length === 0) this.bytes = part;
    else {
      if (length > this.bytes.length) this.grow(2 * length);
      part.copy(this.bytes, this.length);
    }
    this.length = length;
  }

  whole(): Buffer {
    return this.bytes.subarray(0, this.length);
  }

  private grow(capacity: number): void {
    const larger = Buffer.allocUnsafe(capacity);
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }
}

type Decode = (body: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>;
const inflateZlib = promisify(inflate);
const inflateBare = promisify(inflateRaw);

const DECODERS: Readonly<Record<string, Decode>> = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  // Some servers leave out the zlib header, whose lower half byte is 8 (RFC 9110, 8.4.1.2; RFC 1950, 2.2).
  deflate: (body, options) => (((body[0] ?? 0) & 0x0f) === 8 ? inflateZlib(body, options) : inflateBare(body, options)),
  br: promisify(brotliDecompress),
  identity: (body) => Promise.resolve(body),
};

/** Undoes the content codings of an answer, the last one first (RFC 9110, 8.4). */
export async function decompress(body: Buffer, encodings: string): Promise<Buffer> {
  let bytes = body;
  for (const encoding of encodings.toLowerCase().split(',').toReversed()) {
    // An answer without a body, such as 204, may name a coding all the same.
    if (bytes.length === 0) return bytes;
    const decode = DECODERS[encoding.trim()];
    if (decode === undefined) throw new TypeError(`unknown content coding "${encoding.trim()}"`);
    bytes = await decode(bytes, { maxOutputLength: MAX_ANSWER_BYTES });
  }
  return bytes;
}

/** Drops a byte order mark, which JSON does not allow. */
const utf8 = new TextDecoder();

/** @param contentType names the charset; UTF-8 where it names none, or one that does not exist */
export function decodeText(body: Buffer, contentType: string | string[] | undefined): string {
  const charset = /;\s*charset="?([^\s";]+)/i.exec(String(contentType))?.[1];
  if (charset === undefined || /^utf-?8$/i.test(charset)) return utf8.decode(body);
  try {
    return new TextDecoder(charset).decode(body);
  } catch {
    return utf8.decode(body);
  }
}
