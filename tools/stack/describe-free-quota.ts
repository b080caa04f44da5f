import type { FreeProviderSettings } from '../../apps/free-provider/src/free-provider.settings.js';

const byPolicy: Record<FreeProviderSettings['FREE_POLICY'], (free: FreeProviderSettings) => string> = {
  'count-then-block': ({ FREE_LIMIT, FREE_BLOCK_MS, FREE_STARTS_AT }) =>
    FREE_STARTS_AT === 'last-accept'
      ? `${FREE_LIMIT} messages, then blocked for ${seconds(FREE_BLOCK_MS)}`
      : `${FREE_LIMIT} messages; the next one is refused and begins a block of ${seconds(FREE_BLOCK_MS)}`,
  'fixed-window': ({ FREE_LIMIT, FREE_WINDOW_MS, FREE_ANCHOR }) =>
    `${FREE_LIMIT} messages in each window of ${seconds(FREE_WINDOW_MS)}, begun by ${FREE_ANCHOR === 'clock' ? 'the clock' : 'its first message'}`,
  'sliding-window': ({ FREE_LIMIT, FREE_WINDOW_MS }) => `${FREE_LIMIT} messages in any ${seconds(FREE_WINDOW_MS)}`,
  'token-bucket': ({ FREE_LIMIT, FREE_REFILL_PER_SECOND }) =>
    `${FREE_LIMIT} messages at once, then ${FREE_REFILL_PER_SECOND} per second`,
  unlimited: () => 'accepts everything',
};

/** How the free provider counts, for people. */
export function describeFreeQuota(free: FreeProviderSettings): string {
  return byPolicy[free.FREE_POLICY](free);
}

function seconds(ms: number): string {
  return `${ms / 1_000} s`;
}
