import { randomInt, randomUUID } from 'node:crypto';
import { type Problem, problemSchema } from '#contracts';

export interface Answer {
  status: number;
  headers: Headers;
  body: unknown;
}

/** A client with a cookie jar and a network address of its own. */
export class Browser {
  readonly cookies = new Map<string, string>();
  private readonly address = `10.${randomInt(256)}.${randomInt(256)}.${randomInt(256)}`;

  constructor(private readonly origin: string) {}

  get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.call('GET', path, { headers });
  }

  post(path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    return this.call('POST', path, { body, headers });
  }

  delete(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.call('DELETE', path, { headers });
  }

  patch(path: string, body: unknown): Promise<Answer> {
    return this.call('PATCH', path, { body });
  }

  login(email: string, password = PASSWORD): Promise<Answer> {
    return this.post('/auth/login', { email, password });
  }

  /** Another browser with the same cookies, at another address. */
  copy(): Browser {
    const copy = new Browser(this.origin);
    for (const [name, value] of this.cookies) copy.cookies.set(name, value);
    return copy;
  }

  private async call(
    method: string,
    path: string,
    { body, headers = {} }: { body?: unknown; headers?: Record<string, string> },
  ): Promise<Answer> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(`${this.origin}${path}`, {
      method,
      headers: {
        'x-forwarded-for': this.address,
        ...(cookie !== '' && { cookie }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    for (const set of response.headers.getSetCookie()) this.keep(set);
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) };
  }

  private keep(setCookie: string): void {
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(setCookie) ?? [];
    if (value === '') this.cookies.delete(name);
    else this.cookies.set(name, value);
  }
}

export const PASSWORD = 'octo-demo-password';

export const newEmail = (): string => `${randomUUID()}@example.com`;

/** The problem of an answer; throws if it has none. */
export function problemOf(answer: Answer): Problem {
  return problemSchema.parse(answer.body);
}

/** Status and code of a problem, such as `401 unauthenticated`; throws for any other body or media type. */
export function refusalOf(answer: Answer): string {
  const mediaType = answer.headers.get('content-type') ?? 'none';
  if (!mediaType.startsWith('application/problem+json'))
    throw new Error(`expected application/problem+json, got ${mediaType}`);
  return `${answer.status} ${problemOf(answer).code}`;
}
