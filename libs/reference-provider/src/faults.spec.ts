import { describe, expect, it } from '@jest/globals';
import { type Faults, faultsSchema } from '#contracts';
import { chooseFault, FaultInjector } from './faults.js';

const faults = (some: Partial<Faults>): Faults => faultsSchema.parse(some);

describe('chooseFault', () => {
  it('chooses each fault at its own rate', () => {
    const each = faults({ dropRate: 0.1, errorRate: 0.2, loseReplyRate: 0.3, nonsenseRate: 0.25 });
    const at = (...draws: number[]) => draws.map((draw) => chooseFault(each, draw));
    expect(at(0, 0.099)).toEqual(['drop', 'drop']);
    expect(at(0.1, 0.299)).toEqual(['error', 'error']);
    expect(at(0.301, 0.599)).toEqual(['loseReply', 'loseReply']);
    expect(at(0.601, 0.849)).toEqual(['nonsense', 'nonsense']);
    expect(at(0.851, 0.999)).toEqual([undefined, undefined]);
  });

  it('chooses no fault when no rate is set', () => {
    expect(chooseFault(faults({ latencyMs: 5 }), 0)).toBeUndefined();
  });

  it('always chooses a fault whose rate is 1', () => {
    expect(chooseFault(faults({ nonsenseRate: 1 }), 1 - Number.EPSILON)).toBe('nonsense');
  });
});

describe('FaultInjector', () => {
  it('switches every fault off after `times` hits', () => {
    const injector = new FaultInjector(() => 0);
    injector.replace(faults({ errorRate: 1, latencyMs: 7, times: 2 }));
    injector.countHit();
    expect(injector.inForce).toEqual(faults({ errorRate: 1, latencyMs: 7, times: 1 }));
    injector.countHit();
    expect(injector.inForce).toEqual(faults({}));
    expect(injector.draw()).toBeUndefined();
  });

  it('continues until replaced when `times` is null', () => {
    const injector = new FaultInjector(() => 0);
    injector.replace(faults({ errorRate: 1 }));
    for (let hit = 0; hit < 100; hit += 1) injector.countHit();
    expect(injector.draw()).toBe('error');
  });

  it('draws for each request', () => {
    const draws = [0.4, 0.6, 0.4];
    const injector = new FaultInjector(() => draws.shift() ?? 1);
    injector.replace(faults({ dropRate: 0.5 }));
    expect([injector.draw(), injector.draw(), injector.draw()]).toEqual(['drop', undefined, 'drop']);
  });
});
