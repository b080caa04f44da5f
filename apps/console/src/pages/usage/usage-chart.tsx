import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import uPlot from 'uplot';
import type { Usage } from '#contracts';
import { number, shortDay } from '../../i18n/format.js';
import { t } from '../../i18n/i18n.js';
import { axisLook, colorOf, heightRange, Plot } from '../../ui/plot.js';
import { type Bar, barsOf, type Grouping, labelled } from './bars.js';

const LABEL_MAX_CHARS = 14;
const CHAR_PX = 7;

/** Free messages, and the paid ones on top of them. The table says the same in words. */
export function UsageChart({ series, by }: { series: NonNullable<Usage['series']>; by: Grouping }): JSX.Element {
  const bars = useMemo(() => barsOf(series, by), [series, by]);
  const points = useMemo(() => pointsOf(bars), [bars]);
  return (
    <figure class="chart">
      <Plot options={() => optionsOf(bars, by)} points={points} />
      <figcaption>
        <ul class="legend">
          {(['free', 'paid'] as const).map((key) => (
            <li key={key}>
              <svg class={`bar-sample tone-${key}`} viewBox="0 0 14 14" aria-hidden="true">
                <rect width="14" height="14" rx="3" />
              </svg>
              {t(`series.${key}`)}
            </li>
          ))}
        </ul>
      </figcaption>
    </figure>
  );
}

/** The bar of all messages is behind the bar of the free ones. */
function pointsOf(bars: readonly Bar[]): uPlot.AlignedData {
  return [bars.map((_, index) => index), bars.map(({ free, paid }) => free + paid), bars.map(({ free }) => free)];
}

function optionsOf(bars: readonly Bar[], by: Grouping): Omit<uPlot.Options, 'width' | 'height'> {
  const axis = axisLook();
  const names = bars.map(({ key }) => (by === 'day' ? shortDay(key) : shortened(key)));
  const labelPx = CHAR_PX * Math.max(4, ...names.map(({ length }) => length)) + 12;
  const paths = uPlot.paths.bars?.({ size: [0.7, 64] });
  const series = (color: string): uPlot.Series => ({
    fill: colorOf(color),
    width: 0,
    points: { show: false },
    ...(paths && { paths }),
  });
  return {
    scales: { x: { time: false, range: () => [-0.5, bars.length - 0.5] }, y: { range: heightRange } },
    axes: [
      {
        ...axis,
        grid: { show: false },
        splits: ({ bbox }) => labelled(bars.length, { widthPx: bbox.width / devicePixelRatio, labelPx }),
        values: (_plot, indices) => indices.map((index) => names[index] ?? ''),
      },
      {
        ...axis,
        incrs: [
          1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7, 1e8,
        ],
        values: (_plot, values) => values.map((value) => number(value)),
        size: 60,
      },
    ],
    series: [{}, series('--paid'), series('--free')],
  };
}

function shortened(name: string): string {
  return name.length > LABEL_MAX_CHARS ? `${name.slice(0, LABEL_MAX_CHARS - 1)}…` : name;
}
