import { signal } from '@preact/signals';

/** Unix time in milliseconds, of this second: one timer for all countdowns. */
export const now = signal(Date.now());

setInterval(() => {
  if (document.visibilityState === 'visible') now.value = Date.now();
}, 1_000);
document.addEventListener('visibilitychange', () => (now.value = Date.now()));
