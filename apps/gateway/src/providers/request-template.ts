import { compileTemplate, ExpressionError, type Template, valueOf } from './expressions.js';

/** What the expressions of a request see. */
export interface RequestContext {
  message: unknown;
  id: string;
  channel: string;
  account: string;
}

/** One HTTP request, ready for the wire. */
export interface OutgoingRequest {
  method: string;
  path: string;
  /** Names and values in turn. */
  headers: string[];
  /** Null when the request has no body. */
  body: string | null;
}

export type BodyTemplate =
  | { kind: 'json' | 'form' | 'text'; value: unknown }
  /** The small contract: `{"message": …}`. */
  | { kind: 'message' }
  | { kind: 'none' };

export interface RequestSource {
  method: string;
  url: string;
  headers: Readonly<Record<string, string>>;
  body: BodyTemplate;
}

export interface RequestTemplate {
  origin: string;
  /** Of the URL, in the forms in which a provider may quote them. */
  secrets: readonly string[];
  /** @throws ExpressionError when the message does not fit the template */
  render(context: RequestContext): OutgoingRequest | Promise<OutgoingRequest>;
}

const MEDIA_TYPES = {
  json: 'application/json',
  message: 'application/json',
  form: 'application/x-www-form-urlencoded',
  text: 'text/plain; charset=utf-8',
  none: undefined,
} as const;

/** Headers that the gateway sets for each message, whatever the providers file says. */
const OWN_HEADERS = new Set([
  'x-request-id',
  'traceparent',
  'content-length',
  'host',
  'connection',
  'transfer-encoding',
]);

/** One line of visible ASCII and spaces (RFC 9110, 5.5, without obs-text). */
const HEADER_VALUE = /^[\t\x20-\x7e]*$/;

/**
 * Compiles the request of a provider account. Constants are computed once.
 * @throws ExpressionError for an expression with a syntax error, or a URL that is none
 */
export function compileRequest({ method, url, headers, body }: RequestSource): RequestTemplate {
  const { origin, path, authorization, secrets } = compileUrl(url);
  const named = Object.entries({ ...authorization, ...lowerCased(headers) }).filter(([name]) => !OWN_HEADERS.has(name));
  const mediaType = MEDIA_TYPES[body.kind];
  const defaults = { accept: 'application/json', ...(mediaType && { 'content-type': mediaType }) };
  const values = Object.entries({ ...defaults, ...Object.fromEntries(named) });
  const templates = values.map(([name, value]) => [name, compileHeader(name, value)] as const);
  const write = compileBody(body);
  if (path.isConstant && templates.every(([, { isConstant }]) => isConstant) && body.kind === 'message') {
    const constant = { path: String(path.value), headers: values.flat() };
    const render = ({ message }: RequestContext): OutgoingRequest => {
      // Not a spread: it would cost 5 µs.
      return { method, path: constant.path, headers: constant.headers, body: JSON.stringify({ message }) };
    };
    return { origin, secrets, render };
  }
  return {
    origin,
    secrets,
    async render(context) {
      const pairs = await Promise.all(
        templates.map(async ([name, value]) => [name, await headerOf(name, value, context)]),
      );
      const given = pairs.filter(([, value]) => value !== undefined) as [string, string][];
      return { method, path: await pathOf(path, context, origin), headers: given.flat(), body: await write(context) };
    },
  };
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

interface CompiledUrl {
  origin: string;
  path: Template;
  authorization: Record<string, string>;
  secrets: readonly string[];
}

/** The host is constant: connections to it are kept open. User and password become Basic authorization (RFC 7617). */
function compileUrl(url: string): CompiledUrl {
  const start = /^https?:\/\/[^/?#]*/i.exec(url)?.[0] ?? '';
  if (start === '' || start.includes('{{') || !URL.canParse(start)) {
    throw new ExpressionError('must be an http:// or https:// URL with a constant host');
  }
  const { origin, username, password } = new URL(start);
  const path = compileTemplate(url.slice(start.length).replace(/#.*$/s, ''));
  const constant = path.isConstant
    ? { isConstant: true as const, value: normalized(origin, String(path.value)) }
    : path;
  if (username === '' && password === '') return { origin, path: constant, authorization: {}, secrets: [] };
  const plain = decoded(password);
  const credentials = Buffer.from(`${decoded(username)}:${plain}`).toString('base64');
  const authorization = { authorization: `Basic ${credentials}` };
  return { origin, path: constant, authorization, secrets: [credentials, plain] };
}

/** A password may hold a "%" that begins no escape. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function normalized(origin: string, path: string): string {
  const full = `${origin}${path}`;
  if (!URL.canParse(full)) throw new ExpressionError('the URL of the request is not valid');
  const { pathname, search, origin: rendered } = new URL(full);
  if (rendered !== origin) throw new ExpressionError('the URL of the request leads to another host');
  return pathname + search;
}

async function pathOf(path: Template, context: RequestContext, origin: string): Promise<string> {
  if (path.isConstant) return String(path.value);
  return normalized(origin, String(await path.evaluate(context)));
}

function compileHeader(name: string, value: string): Template {
  const template = compileTemplate(value);
  if (template.isConstant) requireHeaderValue(name, value);
  return template;
}

/** @throws ExpressionError */
function requireHeaderValue(name: string, value: string): void {
  if (!HEADER_VALUE.test(value)) throw new ExpressionError(`header "${name}" must be one line of ASCII`);
}

async function headerOf(name: string, template: Template, context: RequestContext): Promise<string | undefined> {
  const value = await valueOf(template, context);
  if (value === undefined || value === null) return undefined;
  const text = typeof value === 'string' ? value.trim() : JSON.stringify(value);
  requireHeaderValue(name, text);
  return text;
}

function compileBody(body: BodyTemplate): (context: RequestContext) => string | null | Promise<string | null> {
  if (body.kind === 'none') return () => null;
  if (body.kind === 'message') return ({ message }) => JSON.stringify({ message });
  const template = compileTemplate(body.value);
  const write = WRITERS[body.kind];
  if (template.isConstant) {
    const constant = write(template.value);
    return () => constant;
  }
  return async (context) => write(await template.evaluate(context));
}

const WRITERS = { json: writeJson, form: writeForm, text: writeText };

function writeJson(value: unknown): string {
  if (value === undefined) throw new ExpressionError('the body of the request has no value');
  return JSON.stringify(value);
}

/** Fields with several values repeat; a field without a value is left out (WHATWG URL, 5). */
function writeForm(value: unknown): string {
  const fields = new URLSearchParams();
  for (const [name, field] of Object.entries(value as Record<string, unknown>)) {
    for (const item of Array.isArray(field) ? (field as unknown[]) : [field]) {
      if (item === undefined || item === null) continue;
      fields.append(name, typeof item === 'string' ? item : JSON.stringify(item));
    }
  }
  return fields.toString();
}

function writeText(value: unknown): string {
  if (value === undefined || value === null) throw new ExpressionError('the body of the request has no value');
  return typeof value === 'string' ? value : JSON.stringify(value);
}
