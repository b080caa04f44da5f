import type { Dispatcher } from 'undici';
import { signCallback } from './sign-callback.js';

/** How much of an answer is read: it only has to end so that its connection can be used again. */
const MAX_ANSWER_BYTES = 16_384;

/** What came of a try: an answer, or why there was none. */
export type TryResult = { status: number } | { error: string };

export interface OutgoingCallback {
  messageId: string;
  url: string;
  payload: string;
}

/**
 * Tells a receiver once. Redirects are not followed: a receiver that has moved says so by its owner.
 * @param signal ends the try, answered or not
 */
export async function postCallback(
  { messageId, url, payload }: OutgoingCallback,
  { agent, keys, signal }: { agent: Dispatcher; keys: readonly Buffer[]; signal: AbortSignal },
): Promise<TryResult> {
  try {
    const { origin, pathname, search } = new URL(url);
    const { statusCode, body } = await agent.request({
      origin,
      path: `${pathname}${search}`,
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'user-agent': 'octo',
        ...signCallback({ id: messageId, body: payload, keys, now: new Date() }),
      },
      body: payload,
      signal,
    });
    // The status is all that counts, whatever happens to the rest.
    await body.dump({ limit: MAX_ANSWER_BYTES, signal }).catch(() => undefined);
    return { status: statusCode };
  } catch (error) {
    return { error: reasonOf(error) };
  }
}

/** Codes rather than messages: those name the addresses behind a host name. */
function reasonOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return 'failed';
  if ('code' in error && typeof error.code === 'string') return error.code;
  return 'name' in error && typeof error.name === 'string' ? error.name : 'failed';
}
