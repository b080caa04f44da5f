import type { JSX } from 'preact';
import { duration, exactTime, relativeTime } from '../i18n/format.js';
import { now } from '../clock.js';

/** A relative time, with the exact one on hover. */
export function Time({ at }: { at: string }): JSX.Element {
  const time = new Date(at);
  return (
    <time dateTime={at} title={exactTime(time)}>
      {relativeTime(time, now.value)}
    </time>
  );
}

/** Time until a moment: `23 sec`. */
export function Countdown({ to }: { to: string }): JSX.Element {
  const time = new Date(to);
  const leftMs = Math.max(0, Math.ceil((time.getTime() - now.value) / 1_000) * 1_000);
  return (
    <time dateTime={to} title={exactTime(time)} class="number">
      {duration(Math.max(1_000, leftMs))}
    </time>
  );
}
