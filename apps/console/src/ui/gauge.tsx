import type { JSX } from 'preact';
import { number } from '../i18n/format.js';
import type { Tone } from './badge.js';

/** An open ring of 270°. */
const RADIUS = 42;
const LENGTH = 2 * Math.PI * RADIUS * 0.75;

/** How much of a limit is used. */
export function Gauge({
  used,
  limit,
  label,
  tone,
}: {
  used: number;
  limit: number;
  label: string;
  tone: Tone;
}): JSX.Element {
  const part = limit === 0 ? 1 : Math.min(1, used / limit);
  return (
    <div
      class={`gauge tone-${tone}`}
      role="meter"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={limit}
      aria-valuenow={Math.min(used, limit)}
      aria-valuetext={`${number(used)} / ${number(limit)}`}
    >
      <svg viewBox="0 0 100 100" aria-hidden="true">
        <circle class="gauge-track" cx="50" cy="50" r={RADIUS} stroke-dasharray={`${LENGTH} 1000`} />
        {part > 0 && (
          <circle class="gauge-value" cx="50" cy="50" r={RADIUS} stroke-dasharray={`${LENGTH * part} 1000`} />
        )}
      </svg>
      <div class="gauge-text" aria-hidden="true">
        <span class="gauge-used">{number(used)}</span>
        <span class="gauge-limit">/ {number(limit)}</span>
      </div>
    </div>
  );
}

/** An account without a limit. */
export function Unlimited(): JSX.Element {
  return (
    <div class="gauge" aria-hidden="true">
      <svg viewBox="0 0 100 100">
        <circle class="gauge-track" cx="50" cy="50" r={RADIUS} stroke-dasharray={`${LENGTH} 1000`} />
      </svg>
      <div class="gauge-text">
        <span class="gauge-used">∞</span>
      </div>
    </div>
  );
}
