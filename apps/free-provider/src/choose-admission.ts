import type { Admission } from '#reference-provider';
import { CountThenBlock } from './count-then-block.js';
import { FixedWindow } from './fixed-window.js';
import type { FreeProviderSettings } from './free-provider.settings.js';
import { SlidingWindow } from './sliding-window.js';
import { TokenBucket } from './token-bucket.js';
import { Unlimited } from './unlimited.js';

type Choice = Record<FreeProviderSettings['FREE_POLICY'], (settings: FreeProviderSettings) => Admission>;

const byPolicy: Choice = {
  'count-then-block': (settings) =>
    new CountThenBlock({
      ...common(settings),
      blockMs: settings.FREE_BLOCK_MS,
      startsAt: settings.FREE_STARTS_AT,
    }),
  'fixed-window': (settings) =>
    new FixedWindow({ ...common(settings), windowMs: settings.FREE_WINDOW_MS, anchor: settings.FREE_ANCHOR }),
  'sliding-window': (settings) => new SlidingWindow({ ...common(settings), windowMs: settings.FREE_WINDOW_MS }),
  'token-bucket': (settings) =>
    new TokenBucket({ ...common(settings), refillPerSecond: settings.FREE_REFILL_PER_SECOND }),
  unlimited: () => new Unlimited(),
};

export function chooseAdmission(settings: FreeProviderSettings): Admission {
  return byPolicy[settings.FREE_POLICY](settings);
}

function common({ FREE_LIMIT: limit, FREE_RATELIMIT_HEADERS: sendsHeaders }: FreeProviderSettings) {
  return { limit, sendsHeaders };
}
