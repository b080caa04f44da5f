import { describe, expect, it } from '@jest/globals';
import { batchesOf } from './batches.js';
import { type Scenario, scenariosOf } from './scenarios.js';

const [any] = scenariosOf({ quick: true });
const scenario = (but: Partial<Scenario>): Scenario => ({ ...(any as Scenario), ...but });

describe('batchesOf', () => {
  it('runs every scenario once', () => {
    const all = scenariosOf({ quick: false });
    const batched = batchesOf(all).flat();
    expect(batched).toHaveLength(all.length);
    expect(new Set(batched)).toEqual(new Set(all));
  });

  it('runs side by side only what takes as long and fits on the machine', () => {
    const [short, long, large] = [{ pods: 4 }, { pods: 4, durationMs: 99_000 }, { pods: 12 }].map(scenario);
    expect(batchesOf([short, long, large] as Scenario[])).toEqual([[short], [long], [large]]);
    expect(batchesOf([short, short, short, short] as Scenario[]).map(({ length }) => length)).toEqual([3, 1]);
  });

  it('keeps other strategies apart from Octo', () => {
    expect(batchesOf([scenario({}), scenario({ strategy: 'Bottleneck' })])).toHaveLength(2);
  });

  it('leaves a crowd to itself', () => {
    const crowd = scenario({ atOnce: 64 });
    expect(batchesOf([crowd, scenario({}), crowd])).toHaveLength(3);
  });
});
