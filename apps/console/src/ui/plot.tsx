import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { language } from '../i18n/i18n.js';
import { palette } from '../theme.js';

const HEIGHT_PX = 220;

type Options = Omit<uPlot.Options, 'width' | 'height' | 'legend' | 'cursor'>;

interface PlotProps {
  /** Read once for each drawing, and again when colours or language change. */
  options: () => Options;
  points: uPlot.AlignedData;
}

/** A drawing as wide as its place. The page says the same in words beside it. */
export function Plot({ options, points }: PlotProps): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  useEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const size = { width: element.clientWidth, height: HEIGHT_PX };
    const drawn = new uPlot(
      { ...size, legend: { show: false }, cursor: { show: false }, ...options() },
      points,
      element,
    );
    plot.current = drawn;
    const observer = new ResizeObserver(() => drawn.setSize({ width: element.clientWidth, height: HEIGHT_PX }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      drawn.destroy();
    };
  }, [palette.value, language.value]);
  useEffect(() => plot.current?.setData(points), [points]);
  return <div ref={place} class="chart-plot" aria-hidden="true" />;
}

/** A canvas does not know `light-dark()`: an element resolves it. */
export function colorOf(name: string): string {
  const probe = document.createElement('span');
  probe.style.color = getComputedStyle(document.documentElement).getPropertyValue(name);
  document.documentElement.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** What all axes have in common. */
export function axisLook(): uPlot.Axis {
  return {
    stroke: colorOf('--text-quiet'),
    font: '12px system-ui',
    grid: { stroke: colorOf('--line'), width: 1 },
  };
}

/** From zero, and never flat. */
export function heightRange(_plot: uPlot, _min: number, max: number): [number, number] {
  return [0, Math.max(1, Math.ceil(max * 1.1))];
}
