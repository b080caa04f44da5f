import type { BenchSetup } from '../bench-setup.js';
import type { LoadResult, Shape, Target } from '../load.js';
import { cpuMsOf, residentMbOf } from '../process-use.js';

/** Software between a client and a provider. */
export interface Side {
  name: string;
  target: Target;
  /** Processes whose CPU and memory count; none for a direct call. */
  pids: readonly number[];
}

/** One round of one side. */
export interface Sample {
  /** At full load. */
  perSecond: number;
  /** CPU of the side for each message, in µs, at full load. */
  cpuUs: number;
  cpuAtHalfUs: number;
  /** At half load. */
  latencyMs: LoadResult['latencyMs'];
  /** Of direct calls to the provider at the same rate. */
  directMs: LoadResult['latencyMs'];
  residentMb: number;
  failed: number;
}

export interface Extent {
  rounds: number;
  warmUpMs: number;
  fullMs: number;
  halfMs: number;
}

const CONNECTIONS = 64;
/** At half load: more than can be in flight, so that no request waits for a connection. */
const HALF_CONNECTIONS = 32;

/** In each round all sides run in turn, first at full load, then at half of it: a disturbance of the machine hits them all. */
export async function measureRounds(
  setup: BenchSetup,
  sides: readonly Side[],
  direct: Target,
  extent: Extent,
): Promise<Map<string, Sample[]>> {
  const samples = new Map<string, Sample[]>(sides.map(({ name }) => [name, []]));
  const atFull = { connections: CONNECTIONS, durationMs: extent.fullMs };
  for (const { target } of sides) await setup.load.run(target, { ...atFull, durationMs: extent.warmUpMs });
  for (let round = 0; round < extent.rounds; round += 1) {
    const full = new Map<Side, Load>();
    for (const side of rotated(sides, round)) full.set(side, await measureLoad(setup, side, atFull));
    for (const [side, load] of full) {
      const perSecond = (load.answered / load.tookMs) * 1_000;
      const atHalf = { connections: HALF_CONNECTIONS, durationMs: extent.halfMs, perSecond: perSecond / 2 };
      const { latencyMs: directMs } = await setup.load.run(direct, atHalf);
      const half = await measureLoad(setup, side, atHalf);
      samples.get(side.name)?.push({
        perSecond,
        cpuUs: load.cpuUs,
        cpuAtHalfUs: half.cpuUs,
        latencyMs: half.latencyMs,
        directMs,
        residentMb: residentMbOf(side.pids),
        failed: load.failed + half.failed,
      });
    }
    console.log(`round ${round + 1} of ${extent.rounds}`);
  }
  return samples;
}

type Load = LoadResult & { cpuUs: number };

async function measureLoad({ load }: BenchSetup, { target, pids }: Side, shape: Shape): Promise<Load> {
  const beforeMs = cpuMsOf(pids);
  const result = await load.run(target, shape);
  return { ...result, cpuUs: ((cpuMsOf(pids) - beforeMs) / result.answered) * 1_000 };
}

function rotated<Item>(items: readonly Item[], by: number): Item[] {
  return items.map((_, index) => items[(index + by) % items.length] as Item);
}
