import type { Dispatcher } from 'undici';
import { signCallback } from './sign-callback.js';

/** Most bytes read of an answer. Only its end matters: the connection can then be reused. */
const MAX_ANSWER_BYTES = 16_384;

/** The status of the answer, or why there was none. */
export type AttemptResult = { status: number } | { error: string };

export interface OutgoingCallback {
  messageId: string;
  url: string;
  payload: string;
}

/**
 * Posts a callback once. Redirects are not followed: the owner of a receiver that moved must change the `callbackUrl`.
 * @param signal aborts the attempt
 */
export async function postCallback(
  { messageId, url, payload }: OutgoingCallback,
  { agent, keys, signal }: { agent: Dispatcher; keys: readonly Buffer[]; signal: AbortSignal },
): Promise<AttemptResult> {
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
    // Only the status counts, even if the rest of the answer is lost.
    await body.dump({ limit: MAX_ANSWER_BYTES, signal }).catch(() => undefined);
    return { status: statusCode };
  } catch (error) {
    return { error: reasonOf(error) };
  }
}

/** Codes rather than messages: messages name the addresses behind a host name. */
function reasonOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return 'failed';
  if ('code' in error && typeof error.code === 'string') return error.code;
  return 'name' in error && typeof error.name === 'string' ? error.name : 'failed';
}
