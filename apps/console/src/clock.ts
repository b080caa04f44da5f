import { signal } from '@preact/signals';

/** How far the clock of the gateway is ahead of the browser's. */
let offsetMs = 0;

/** Unix time in milliseconds by the gateway's clock, of this second: one timer for all countdowns. */
export const now = signal(Date.now());

export function gatewayTime(): number {
  return Date.now() + offsetMs;
}

/** @param gatewayMs the gateway's time, as an event of this moment has it */
export function setClock(gatewayMs: number): void {
  offsetMs = gatewayMs - Date.now();
  now.value = gatewayMs;
}

const tick = (): void => {
  if (document.visibilityState === 'visible') now.value = gatewayTime();
};
setInterval(tick, 1_000);
document.addEventListener('visibilitychange', tick);
