import type { FastifyReply } from 'fastify';

const SCRIPTLESS_POLICY = "default-src 'none'; frame-ancestors 'none'";
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ');
const INLINE_STYLE_POLICY = PAGE_POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'");

const HSTS_SECONDS = 31_536_000;

export interface BrowserOptions {
  /** URL of the gateway in browsers; undefined for an app that browsers do not reach. */
  publicOrigin: string | undefined;
  /** Paths of web pages, such as `/console`, with everything below them. They may run scripts of this origin. */
  pages: readonly string[];
  /** Pages that set styles inline as well, as Swagger UI does. */
  inlineStylePages: readonly string[];
}

type HeaderFields = Readonly<Record<string, string>>;

/** Chooses the headers that every answer to a path has. The choices are made once, because each message gets one. */
export function securityHeaders({
  publicOrigin,
  pages,
  inlineStylePages,
}: BrowserOptions): (path: string) => HeaderFields {
  const common = {
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    // Most answers are private. A public route sets its own value.
    'cache-control': 'no-store',
    ...(publicOrigin?.startsWith('https:') && { 'strict-transport-security': `max-age=${HSTS_SECONDS}` }),
  };
  const ofPage = { ...common, 'content-security-policy': PAGE_POLICY };
  const ofInlineStylePage = { ...common, 'content-security-policy': INLINE_STYLE_POLICY };
  const ofOther = { ...common, 'content-security-policy': SCRIPTLESS_POLICY };
  return (path) => {
    if (pages.some((page) => path.startsWith(page))) return ofPage;
    return inlineStylePages.some((page) => path.startsWith(page)) ? ofInlineStylePage : ofOther;
  };
}

/** Copies the headers of a reply to its bare response, for a handler that writes the response itself. */
export function copyHeaders(reply: FastifyReply): void {
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value !== undefined) reply.raw.setHeader(name, value);
  }
}
