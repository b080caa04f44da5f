import type {
  AccountList,
  AccountPatch,
  ChannelList,
  DeliveredMessage,
  ManagedAccount,
  MessageList,
  MessageRecord,
  Problem,
  ProviderSwitch,
  ProviderSwitchList,
  ProviderSwitchPatch,
  WaitingMessage,
  Usage,
} from '#contracts';
import { ApiError } from './problem.js';

interface Call {
  method?: string;
  body?: unknown;
  headers?: Record<string, string>;
}

/** Called before each request of the API, and once more when a token turned out to be refused. */
let renew: (options: { isRefused: boolean }) => Promise<boolean> = () => Promise.resolve(false);

export function renewTokensWith(renewal: typeof renew): void {
  renew = renewal;
}

/** @throws ApiError */
export async function request<Body>(path: string, call: Call = {}): Promise<Body> {
  const response = await fetchOnce(path, call);
  return readAnswer<Body>(response);
}

/** With a token that is valid. @throws ApiError */
async function authorized<Body>(path: string, call: Call = {}): Promise<Body> {
  await renew({ isRefused: false });
  const response = await fetchOnce(path, call);
  if (response.status !== 401 || !(await renew({ isRefused: true }))) return readAnswer<Body>(response);
  return readAnswer<Body>(await fetchOnce(path, call));
}

async function fetchOnce(path: string, { method = 'GET', body, headers }: Call): Promise<Response> {
  try {
    return await fetch(path, {
      method,
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  } catch {
    throw new ApiError(0, {});
  }
}

async function readAnswer<Body>(response: Response): Promise<Body> {
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json') ?? false;
  if (response.ok) return (isJson ? JSON.parse(text) : text) as Body;
  const retryAfter = Number(response.headers.get('retry-after'));
  const problem = isJson ? (JSON.parse(text) as Problem) : {};
  throw new ApiError(response.status, problem, retryAfter > 0 ? retryAfter * 1_000 : undefined);
}

export interface OutgoingMessage {
  message: unknown;
  channel?: string;
  deliverBy?: string;
  paid?: 'never';
}

export interface MessageFilter {
  status?: string;
  provider?: string;
  channel?: string;
  traceId?: string;
  idempotencyKey?: string;
  cursor?: string;
}

export interface UsageQuery {
  by?: 'day' | 'provider' | 'channel';
  from?: string;
  /** Not included. */
  to?: string;
  /** Id of an account, or `all`; for admins. */
  account?: string;
}

export const api = {
  channels: () => authorized<ChannelList>('/channels'),
  send: (body: OutgoingMessage, { inBackground }: { inBackground: boolean }) =>
    authorized<DeliveredMessage | WaitingMessage>('/messages', {
      method: 'POST',
      body,
      ...(inBackground && { headers: { prefer: 'respond-async' } }),
    }),
  message: (id: string) => authorized<MessageRecord>(`/messages/${encodeURIComponent(id)}`),
  messages: (filter: MessageFilter) => authorized<MessageList>(`/messages?${queryOf({ ...filter, limit: '25' })}`),
  cancel: (id: string) => authorized<void>(`/messages/${encodeURIComponent(id)}`, { method: 'DELETE' }),
  accounts: (cursor?: string) => authorized<AccountList>(`/auth/users?${queryOf({ limit: '100', cursor })}`),
  changeAccount: (id: string, body: AccountPatch) =>
    authorized<ManagedAccount>(`/auth/users/${id}`, { method: 'PATCH', body }),
  providerSwitches: () => authorized<ProviderSwitchList>('/auth/providers'),
  switchProvider: (body: ProviderSwitchPatch) =>
    authorized<ProviderSwitch>('/auth/providers', { method: 'PATCH', body }),
  usage: (query: UsageQuery) => authorized<Usage>(`/usage?${queryOf({ ...query })}`),
  usageCsv: (query: UsageQuery) =>
    authorized<string>(`/usage?${queryOf({ ...query })}`, { headers: { accept: 'text/csv' } }),
};

function queryOf(values: Record<string, string | undefined>): string {
  const given = Object.entries(values).filter((entry): entry is [string, string] => !!entry[1]);
  return new URLSearchParams(given).toString();
}
