import type { FastifyRequest } from 'fastify';

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Whether a page of another origin may have sent this request with the cookies of its visitor (cross-site request forgery).
 * Browsers name the sender in `Sec-Fetch-Site` (Fetch Metadata) or `Origin`; a program that sends neither passes.
 */
export function isCrossSite(request: FastifyRequest, publicOrigin: string | undefined): boolean {
  const { cookie, origin, 'sec-fetch-site': site } = request.headers;
  if (cookie === undefined || SAFE_METHODS.has(request.method)) return false;
  if (site === undefined && origin === undefined) return false;
  // Cookies ignore ports: `same-site` may be another server on localhost.
  if (site === 'same-origin' || site === 'none' || (origin !== undefined && origin === publicOrigin)) return false;
  // An old browser, at an address other than PUBLIC_ORIGIN: a page cannot choose the Host that its browser sends.
  return site !== undefined || hostOf(origin) !== request.host;
}

function hostOf(origin: string | undefined): string | undefined {
  return origin !== undefined && URL.canParse(origin) ? new URL(origin).host : undefined;
}
