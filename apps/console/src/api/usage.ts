import { signal } from '@preact/signals';
import type { Usage } from '#contracts';
import { api } from './client.js';

const EVERY_MS = 5_000;

/** Messages and money of the caller since midnight. Undefined: not known yet. */
export const today = signal<Usage | undefined>();

/** @returns ends it */
export function followUsage(): () => void {
  const load = async (): Promise<void> => {
    const midnight = new Date();
    midnight.setHours(0, 0, 0, 0);
    // The last figures stay while the gateway does not answer.
    today.value = (await api.usage({ from: midnight.toISOString() }).catch(() => undefined)) ?? today.value;
  };
  const timer = setInterval(() => void load(), EVERY_MS);
  void load();
  return () => clearInterval(timer);
}
