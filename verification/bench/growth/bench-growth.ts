// `npm run bench -- growth [--only pods|accounts|providers|waiting|journal|size]`: what a message costs when there is more of
// something. The points of one curve are measured in turns, in one run.
import { parseArgs } from 'node:util';
import { only } from '../../testbed/only.js';
import type { Shape, Target } from '../load.js';
import { childrenOf, cpuMsOf, endedCpuMsOf } from '../process-use.js';
import { publish, type Ratio } from '../report.js';
import { Site } from '../site.js';
import { spreadOf } from '../statistics.js';
import { type Dimension, DIMENSIONS, type Point } from './dimensions.js';

const ROUNDS = 5;
/** To each gateway: whoever adds one has more to send. */
const CONNECTIONS = 32;
const ROUND_MS = 1_500;
/** Before it counts each gateway has seen so many messages, and each account has been seen. */
const WARM_UP_MESSAGES = 20_000;
const WARM_UP_MAX_MS = 150_000;

/** CPU for each message, in µs. */
interface Sample {
  /** Of those that take the messages: gateways, or what is held against them. */
  takers: number;
  postgres: number;
  redis: number;
  perSecond: number;
}

/** @returns the exit code */
export async function benchGrowth(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: { only: { type: 'string', default: '' }, json: { type: 'string' }, markdown: { type: 'string' } },
  });
  for (const [, dimensionOf] of only(values.only, Object.entries(DIMENSIONS), ([name]) => name)) {
    const site = await Site.start();
    try {
      const { origin } = await site.startProvider();
      const ground = { site, origin, cookie: await site.tokens.cookie() };
      const dimension = await dimensionOf(ground);
      report(dimension, await measure(site, dimension), values);
    } finally {
      await site.stop();
    }
  }
  return 0;
}

/** The samples of each point, and after them those of each point of the control. */
async function measure(site: Site, { name, points: own, control }: Dimension): Promise<Sample[][]> {
  const points = [...own, ...(control?.points ?? [])];
  for (const { target, value } of points) {
    const atMost = WARM_UP_MESSAGES * target.origins.length + (name === 'accounts' ? value : 0);
    await site.load.run(target, { ...crowdOf(target), durationMs: WARM_UP_MAX_MS, atMost });
  }
  const samples: Sample[][] = points.map(() => []);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [index, point] of points.entries()) samples[index]?.push(await measureOnce(site, point));
  }
  return samples;
}

async function measureOnce(site: Site, { target, pids }: Point): Promise<Sample> {
  const use = (): { takers: number; postgres: number; redis: number } => ({
    takers: cpuMsOf(pids),
    postgres: cpuMsOf(childrenOf(site.postgres.pid)) + endedCpuMsOf(site.postgres.pid),
    redis: cpuMsOf([site.redis.pid]),
  });
  const before = use();
  const { answered, failed, tookMs } = await site.load.run(target, { ...crowdOf(target), durationMs: ROUND_MS });
  const after = use();
  if (failed > 0) throw new Error(`${failed} of ${failed + answered} messages were not answered as they should`);
  const each = (name: keyof typeof before): number => ((after[name] - before[name]) / answered) * 1_000;
  return {
    takers: each('takers'),
    postgres: each('postgres'),
    redis: each('redis'),
    perSecond: (answered / tookMs) * 1_000,
  };
}

function crowdOf({ origins }: Target): Pick<Shape, 'connections'> {
  return { connections: CONNECTIONS * origins.length };
}

function report(
  { name, unit, points, control }: Dimension,
  samples: Sample[][],
  outputs: { json?: string | undefined; markdown?: string | undefined },
): void {
  const names = [
    ...points.map(({ value }) => `${value} ${unit}`),
    ...(control?.points ?? []).map(({ value }) => `${value} ${control?.name}`),
  ];
  const rows = names.map((row, index) => {
    const own = samples[index] ?? [];
    const figures = (['takers', 'postgres', 'redis', 'perSecond'] as const).map((column) =>
      spreadOf(own.map((sample) => sample[column])),
    );
    return { name: row, figures };
  });
  const numbered = (path: string | undefined): string | undefined => path?.replace(/(\.\w+)?$/, `-${name}$1`);
  publish(
    {
      title: `Growth: ${name}`,
      columns: ['CPU µs', 'Postgres CPU µs', 'Redis CPU µs', 'messages/s'],
      digits: [0, 0, 1, 0],
      rows,
      ratios: name === 'size' ? slopeOf(points, samples) : growthOf(points.length, samples),
    },
    { json: numbered(outputs.json), markdown: numbered(outputs.markdown) },
  );
}

/** From the least to the most; where there is a control, as well how that grew. */
function growthOf(points: number, samples: Sample[][]): Ratio[] {
  const growth = { name: 'gateway CPU, most : least', value: roundByRound(samples.slice(0, points)), atMost: 1.15 };
  if (samples.length === points) return [growth];
  const control = roundByRound(samples.slice(points));
  return [
    growth,
    { name: 'the same of the others', value: control },
    { name: 'what the gateways add to that', value: growth.value / control, atMost: 1.15 },
  ];
}

function roundByRound(samples: Sample[][]): number {
  const [least = [], most = []] = [samples[0], samples.at(-1)];
  return spreadOf(most.map(({ takers }, round) => takers / (least[round]?.takers ?? takers))).median;
}

/** Between neighbours: equal when it is linear. */
function slopeOf(points: readonly Point[], samples: Sample[][]): Ratio[] {
  const cost = (index: number): number => spreadOf((samples[index] ?? []).map(({ takers }) => takers)).median;
  return points.slice(1).map(({ value }, index) => {
    const before = points[index]?.value ?? 0;
    return {
      name: `µs for each KiB from ${before} to ${value} bytes`,
      value: ((cost(index + 1) - cost(index)) / (value - before)) * 1_024,
    };
  });
}
