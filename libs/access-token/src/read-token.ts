import type { IncomingHttpHeaders } from 'node:http';
import { TOKEN_COOKIE } from './claims.js';

/** The scheme is case-insensitive (RFC 9110, section 11.1). */
const BEARER = /^bearer +(\S+)$/i;

/** The access token or API key of a request: from `Authorization: Bearer`, else from the cookie. */
export function readAccessToken(headers: IncomingHttpHeaders): string | undefined {
  const bearer = headers.authorization === undefined ? null : BEARER.exec(headers.authorization);
  return bearer?.[1] ?? readCookie(headers.cookie, TOKEN_COOKIE);
}

/** The first cookie of that name in a `Cookie` header (RFC 6265, section 4.2). Octo's values need no decoding. */
export function readCookie(header: string | undefined, name: string): string | undefined {
  for (const pair of header?.split(';') ?? []) {
    const separator = pair.indexOf('=');
    if (separator < 0 || pair.slice(0, separator).trim() !== name) continue;
    const value = pair.slice(separator + 1).trim();
    return value === '' ? undefined : value;
  }
  return undefined;
}
