import type { JSX } from 'preact';
import type uPlot from 'uplot';
import { HISTORY_SECONDS, history, type Second } from '../api/live.js';
import { clockTime, number } from '../i18n/format.js';
import { t } from '../i18n/i18n.js';
import { axisLook, colorOf, heightRange, Plot } from './plot.js';

/** Dashes tell the lines apart where colours do not. */
const LINES = [
  { key: 'free', color: '--free', dash: [] },
  { key: 'paid', color: '--paid', dash: [8, 3] },
  { key: 'waiting', color: '--waiting', dash: [2, 3] },
  { key: 'refused', color: '--bad', dash: [8, 3, 2, 3] },
  { key: 'failed', color: '--doubtful', dash: [1, 5] },
] as const;

/** What all pods did in each of the last seconds. The legend says the same in words. */
export function Chart(): JSX.Element {
  const seconds = history.value;
  return (
    <figure class="chart">
      <Plot options={options} points={pointsOf(seconds)} />
      <figcaption>
        <Legend last={seconds.at(-1)} />
      </figcaption>
    </figure>
  );
}

function Legend({ last }: { last: Second | undefined }): JSX.Element {
  return (
    <ul class="legend">
      {LINES.map(({ key, dash, color }) => (
        <li key={key}>
          <svg class="line-sample" viewBox="0 0 28 4" aria-hidden="true">
            <line
              x1="0"
              y1="2"
              x2="28"
              y2="2"
              stroke={`var(${color})`}
              stroke-width="3"
              stroke-dasharray={dash.join(' ')}
            />
          </svg>
          {t(`series.${key}`)}{' '}
          <strong class="number">{number(last === undefined ? 0 : last[key] / last.seconds, 1)}</strong>
        </li>
      ))}
    </ul>
  );
}

function pointsOf(seconds: readonly Second[]): uPlot.AlignedData {
  const times = seconds.map(({ atMs }) => atMs / 1_000);
  return [times, ...LINES.map(({ key }) => seconds.map((second) => second[key] / second.seconds))];
}

function options(): Omit<uPlot.Options, 'width' | 'height'> {
  const axis = axisLook();
  return {
    scales: { x: { time: true, range: () => rangeOfNow() }, y: { range: heightRange } },
    axes: [
      { ...axis, values: (_plot, times) => times.map((time) => clockTime(new Date(time * 1_000))), space: 90 },
      { ...axis, values: (_plot, values) => values.map((value) => number(value, 1)), size: 44 },
    ],
    series: [
      {},
      ...LINES.map(({ color, dash }) => ({
        stroke: colorOf(color),
        fill: `color-mix(in srgb, ${colorOf(color)} 12%, transparent)`,
        width: 2,
        dash: [...dash],
        points: { show: false },
      })),
    ],
  };
}

function rangeOfNow(): [number, number] {
  const endMs = history.peek().at(-1)?.atMs ?? Date.now();
  return [endMs / 1_000 - HISTORY_SECONDS, endMs / 1_000];
}
