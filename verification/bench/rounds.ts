import type { LoadResult, Shape } from './load.js';
import { cpuMsOf, residentMbOf } from './process-use.js';
import type { Side } from './sides/side.js';
import type { Site } from './site.js';

/** What one round of one side came to. */
export interface Sample {
  perSecond: number;
  /** Of the side's processes, for each message, in µs, when it gets as much as it can take. */
  cpuUs: number;
  /** And when it gets half of that. */
  cpuAtHalfUs: number;
  /** At half of what it can take. */
  latencyMs: LoadResult['latencyMs'];
  /** Of calls to the provider without anything in between, at the same rate. */
  directMs: LoadResult['latencyMs'];
  residentMb: number;
  failed: number;
}

/** How often, and how long. */
export interface Extent {
  rounds: number;
  warmUpMs: number;
  fullMs: number;
  halfMs: number;
}

const CONNECTIONS = 64;
/** At half load: more than can be under way, so that no request waits for a connection. */
const HALF_CONNECTIONS = 32;

/**
 * Round by round, each side in turn: first with as much as it can take, then with half of that. What disturbs the machine
 * for a while disturbs all of them.
 */
export async function measureRounds(
  site: Site,
  sides: readonly Side[],
  directSide: Side,
  extent: Extent,
): Promise<Map<string, Sample[]>> {
  const samples = new Map<string, Sample[]>(sides.map(({ name }) => [name, []]));
  for (const side of sides) await site.load.run(side.target, { connections: CONNECTIONS, durationMs: extent.warmUpMs });
  for (let round = 0; round < extent.rounds; round += 1) {
    const inTurn = rotated(sides, round);
    const full = new Map<Side, Load>();
    for (const side of inTurn)
      full.set(side, await measureLoad(site, side, { connections: CONNECTIONS, durationMs: extent.fullMs }));
    for (const [side, load] of full)
      samples.get(side.name)?.push(await measureHalf({ site, side, directSide, full: load, extent }));
    console.log(`round ${round + 1} of ${extent.rounds}`);
  }
  return samples;
}

/** @param half.full what the side took when it got as much as it could take */
async function measureHalf(half: {
  site: Site;
  side: Side;
  directSide: Side;
  full: Load;
  extent: Extent;
}): Promise<Sample> {
  const { site, side, directSide, full } = half;
  const perSecond = (full.answered / full.tookMs) * 1_000;
  const shape = { connections: HALF_CONNECTIONS, durationMs: half.extent.halfMs, perSecond: perSecond / 2 };
  const direct = await measureLoad(site, directSide, shape);
  const through = await measureLoad(site, side, shape);
  return {
    perSecond,
    cpuUs: full.cpuUs,
    cpuAtHalfUs: through.cpuUs,
    latencyMs: through.latencyMs,
    directMs: direct.latencyMs,
    residentMb: residentMbOf(side.pids),
    failed: full.failed + through.failed,
  };
}

type Load = LoadResult & { cpuUs: number };

async function measureLoad(site: Site, { target, pids }: Side, shape: Shape): Promise<Load> {
  const before = cpuMsOf(pids);
  const result = await site.load.run(target, shape);
  return { ...result, cpuUs: ((cpuMsOf(pids) - before) / result.answered) * 1_000 };
}

function rotated<Item>(items: readonly Item[], by: number): Item[] {
  return items.map((_, index) => items[(index + by) % items.length] as Item);
}
