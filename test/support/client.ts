import type { MessageList, MessageRecord, Problem, ProviderStats } from '#contracts';
import { DEMO_PASSWORD } from '../../tools/stack/log-in.js';
import { waitUntil } from '../../tools/stack/wait-until.js';

export interface Answer<Body> {
  status: number;
  headers: Headers;
  body: Body;
}

/** @returns the access token's cookie of a demo account */
export async function login(origin: string, email = 'paid@octo.local'): Promise<string> {
  const response = await fetch(`${origin}/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email, password: DEMO_PASSWORD }),
  });
  const cookie = response.headers.getSetCookie().find((value) => value.startsWith('octo_token='));
  if (cookie === undefined) throw new Error(`login of ${email} answered ${response.status}: ${await response.text()}`);
  return cookie.split(';', 1)[0] ?? '';
}

/** Answer to a message: the fields of a delivered message and of a problem. */
export type MessageAnswer = Answer<
  Partial<Problem> & {
    id?: string;
    expectedAt?: string;
    deliverBy?: string;
    provider?: string;
    account?: string;
    response?: string;
    costMicros?: number;
    attempts?: { provider: string; outcome: string; httpStatus: number | null; reason?: string }[];
  }
>;

export async function postMessage(
  origin: string,
  cookie: string,
  body: unknown = { message: 'hello' },
  headers: Record<string, string> = {},
): Promise<MessageAnswer> {
  return call(`${origin}/messages`, {
    method: 'POST',
    headers: { cookie, 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' || body instanceof Uint8Array ? (body as string) : JSON.stringify(body),
  });
}

/** The journal's record of a message. */
export async function recordOf(origin: string, cookie: string, id: string): Promise<Answer<MessageRecord>> {
  return call(`${origin}/messages/${id}`, { headers: { cookie } });
}

export async function listOf(origin: string, cookie: string, query = ''): Promise<Answer<MessageList>> {
  return call(`${origin}/messages?${query}`, { headers: { cookie } });
}

/** Waits until a message has a final status. */
export async function finished(origin: string, cookie: string, id: string, timeoutMs = 15_000): Promise<MessageRecord> {
  let last: MessageRecord | undefined;
  await waitUntil(
    async () => {
      last = (await recordOf(origin, cookie, id)).body;
      return last.status !== 'waiting' && last.status !== 'sending';
    },
    { what: `message ${id} is finished`, deadlineMs: timeoutMs },
  );
  if (last === undefined) throw new Error('unreachable: the condition held');
  return last;
}

export async function call<Body>(url: string, init?: RequestInit): Promise<Answer<Body>> {
  const response = await fetch(url, init);
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json') ?? false;
  return { status: response.status, headers: response.headers, body: (isJson ? JSON.parse(text) : text) as Body };
}

/** The provider's own count. */
export async function statsOf(providerOrigin: string): Promise<ProviderStats> {
  return (await call<ProviderStats>(`${providerOrigin}/stats`)).body;
}

export async function setFaults(providerOrigin: string, faults: Record<string, number>): Promise<void> {
  const { status } = await call(`${providerOrigin}/faults`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(faults),
  });
  if (status !== 200) throw new Error(`PUT /faults answered ${status}`);
}

/** Runs `work` for 0 … count − 1, `atOnce` at a time. @returns the results in order */
export async function inParallel<Result>(
  count: number,
  atOnce: number,
  work: (index: number) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      const index = next;
      next += 1;
      results[index] = await work(index);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results;
}
