import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { clockTime, number } from '../i18n/format.js';
import { language, t } from '../i18n/i18n.js';
import { HISTORY_SECONDS, history, type Second } from '../api/live.js';
import { palette } from '../theme.js';

const HEIGHT_PX = 220;
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
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  useEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const drawn = new uPlot(optionsFor(element.clientWidth), pointsOf(history.peek()), element);
    plot.current = drawn;
    const observer = new ResizeObserver(() => drawn.setSize({ width: element.clientWidth, height: HEIGHT_PX }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      drawn.destroy();
    };
  }, [palette.value, language.value]);
  const seconds = history.value;
  useEffect(() => plot.current?.setData(pointsOf(seconds)), [seconds]);
  return (
    <figure class="chart">
      <div ref={place} class="chart-plot" aria-hidden="true" />
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

function optionsFor(width: number): uPlot.Options {
  const styles = getComputedStyle(document.documentElement);
  const colorOf = (name: string): string => resolvedColor(styles, name);
  const axis = {
    stroke: colorOf('--text-quiet'),
    font: '12px system-ui',
    grid: { stroke: colorOf('--line'), width: 1 },
  };
  return {
    width,
    height: HEIGHT_PX,
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { time: true, range: () => rangeOfNow() },
      y: { range: (_plot, _min, max) => [0, Math.max(1, Math.ceil(max * 1.1))] },
    },
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

/** A canvas does not know `light-dark()`: an element resolves it. */
function resolvedColor(styles: CSSStyleDeclaration, name: string): string {
  const probe = document.createElement('span');
  probe.style.color = styles.getPropertyValue(name);
  document.documentElement.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
