import { createHash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** `octo_`, 256 random bits and their CRC-32, both in base 62: secret scanners find it and can check it offline. */
const API_KEY = /^octo_([0-9A-Za-z]{43})([0-9A-Za-z]{6})$/;
const PREFIX = 'octo_';
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
/** Characters of a key that its owner may see later: 24 of its 256 bits. */
const SHOWN_LENGTH = PREFIX.length + 4;

export function newApiKey(): string {
  const secret = toBase62(BigInt(`0x${randomBytes(32).toString('hex')}`), 43);
  return `${PREFIX}${secret}${checksumOf(secret)}`;
}

/** Whether a token is meant as an API key. No JWT starts like that. */
export function looksLikeApiKey(token: string): boolean {
  return token.startsWith(PREFIX);
}

/** Whether the checksum is right: a mistyped key costs no query. */
export function isWellFormedApiKey(token: string): boolean {
  const [, secret = '', checksum] = API_KEY.exec(token) ?? [];
  return checksum === checksumOf(secret);
}

/** SHA-256 in base64url. A plain hash: a key has 256 random bits, so it cannot be guessed. */
export function hashOfApiKey(key: string): string {
  return createHash('sha256').update(key).digest('base64url');
}

/** The start of a key, by which its owner recognizes it. */
export function prefixOfApiKey(key: string): string {
  return key.slice(0, SHOWN_LENGTH);
}

function checksumOf(secret: string): string {
  return toBase62(BigInt(crc32(secret)), 6);
}

function toBase62(value: bigint, length: number): string {
  let digits = '';
  for (let rest = value; rest > 0n; rest /= 62n) digits = DIGITS.charAt(Number(rest % 62n)) + digits;
  return digits.padStart(length, '0');
}
