import { signal } from '@preact/signals';
import { latest, sinceOpened } from './live.js';
import { api, type Usage } from './client.js';

const EVERY_MS = 10_000;

/** Undefined: the gateway keeps no account of usage, or none is known yet. */
export const today = signal<Usage | undefined>();

/**
 * Money of the caller since midnight, while the gateway has `GET /usage`.
 * @returns ends it
 */
export function followUsage(): () => void {
  let timer: ReturnType<typeof setInterval> | undefined;
  let isOver = false;
  const load = async (): Promise<void> => {
    const midnight = new Date();
    midnight.setHours(0, 0, 0, 0);
    // The last figures stay while the gateway does not answer.
    today.value = (await api.usage(midnight).catch(() => undefined)) ?? today.value;
  };
  const start = async (): Promise<void> => {
    if (!(await hasUsage()) || isOver) return;
    timer = setInterval(() => void load(), EVERY_MS);
    await load();
  };
  void start();
  return () => {
    isOver = true;
    clearInterval(timer);
  };
}

let known: Promise<boolean> | undefined;

function hasUsage(): Promise<boolean> {
  known ??= api.paths().then(
    (paths) => paths.includes('/usage'),
    () => {
      known = undefined;
      return false;
    },
  );
  return known;
}

export interface Money {
  of: 'today' | 'sinceOpened';
  free: number;
  paid: number;
  spentMicros: number;
  savedMicros: number;
  currency: string;
}

/** Of the caller's messages today, or of all messages since the page was opened. Undefined before the first event. */
export function moneyNow(): Money | undefined {
  const usage = today.value;
  if (usage !== undefined) {
    const { free, paid, savedMicros, currency } = usage;
    return { of: 'today', free: free.count, paid: paid.count, spentMicros: paid.costMicros, savedMicros, currency };
  }
  const currency = latest.value?.quota.currency;
  return currency === undefined ? undefined : { of: 'sinceOpened', ...sinceOpened.value, currency };
}
