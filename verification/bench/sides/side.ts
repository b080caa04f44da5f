import type { Target } from '../load.js';

/** One thing that stands between a client and a provider, or nothing at all. */
export interface Side {
  name: string;
  target: Target;
  /** Whose CPU and memory it costs; none for a direct call. */
  pids: readonly number[];
}

export const TEXT = 'Please tell me in one sentence what an octopus is.';
export const JSON_HEADERS = { 'content-type': 'application/json' };
export const MESSAGE_BODY = JSON.stringify({ message: TEXT });
