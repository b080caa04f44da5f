import { api } from './client.js';
import { ApiError } from './problem.js';

const ID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/;
/** As the gateway accepts it: not only zeros. */
export const TRACE_ID = /^(?!0{32})[0-9a-f]{32}$/;
const KEY = /^[\x21-\x7e]{1,255}$/;

/**
 * The page of what a visitor looks for: a message id, a trace id or an idempotency key. A key may look like an id, so it
 * is tried last. @throws ApiError
 */
export async function findMessage(text: string): Promise<string | undefined> {
  const id = text.toLowerCase();
  if (ID.test(id) && (await hasMessage(id))) return `/messages/${id}`;
  if (TRACE_ID.test(id) && (await api.messages({ traceId: id })).items.length > 0) return `/traces/${id}`;
  if (!KEY.test(text)) return undefined;
  const [holder] = (await api.messages({ idempotencyKey: text })).items;
  return holder && `/messages/${holder.id}`;
}

async function hasMessage(id: string): Promise<boolean> {
  try {
    await api.message(id);
    return true;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return false;
    throw error;
  }
}
