import { describe, expect, it } from '@jest/globals';
import { Credibility } from './credibility.js';
import { type LimitedPolicy, quotaPolicySchema } from '../policy.js';

const policyOf = (input: unknown) => quotaPolicySchema.parse(input) as LimitedPolicy;
const accepted = (remaining: number, epoch: number, retryAfterMs?: number) =>
  ({
    outcome: 'accepted',
    epoch,
    announced: { remaining, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
  }) as const;
const COUNT_THEN_BLOCK = policyOf({ policy: 'count-then-block', limit: 10, blockMs: 2_000 });

describe('Credibility', () => {
  it('believes numbers that count down', () => {
    const credibility = new Credibility(COUNT_THEN_BLOCK);
    for (const remaining of [9, 8, 8, 7, 6])
      expect(credibility.believe(accepted(remaining, 1))?.remaining).toBe(remaining);
    expect(credibility.isLost).toBe(false);
  });

  it('ignores a number at its fourth repetition, but still uses Retry-After', () => {
    const credibility = new Credibility(COUNT_THEN_BLOCK);
    for (let answers = 1; answers <= 3; answers += 1) credibility.believe(accepted(5, 1));
    expect(credibility.believe(accepted(5, 1, 9))).toEqual({ retryAfterMs: 9 });
    expect(credibility.believe(accepted(4, 2))).toBeUndefined();
  });

  it('remembers at most a thousand numbers of a window', () => {
    const credibility = new Credibility(COUNT_THEN_BLOCK);
    for (let answers = 1; answers <= 3; answers += 1) credibility.believe(accepted(5_000, 1));
    for (let remaining = 4_999; remaining >= 4_000; remaining -= 1) credibility.believe(accepted(remaining, 1));
    credibility.believe(accepted(5_000, 1));
    expect(credibility.isLost).toBe(false);
    for (let answers = 1; answers <= 3; answers += 1) credibility.believe(accepted(4_001, 1));
    expect(credibility.isLost).toBe(true);
  });

  it('believes windows that repeat the numbers of other windows', () => {
    const credibility = new Credibility(COUNT_THEN_BLOCK);
    for (let epoch = 1; epoch < 99; epoch += 1) {
      credibility.believe(accepted(9, epoch));
      credibility.believe(accepted(8, epoch));
    }
    expect(credibility.isLost).toBe(false);
  });

  it('ignores a number that never changes in nine windows, until a refusal proves it right', () => {
    const credibility = new Credibility(COUNT_THEN_BLOCK);
    for (let epoch = 1; epoch <= 9; epoch += 1) credibility.believe(accepted(0, epoch));
    expect(credibility.isLost).toBe(true);
    credibility.believe({ outcome: 'refused', epoch: 10 });
    expect(credibility.isLost).toBe(false);
    for (let epoch = 11; epoch <= 20; epoch += 1) credibility.believe(accepted(0, epoch));
    expect(credibility.isLost).toBe(false);
  });

  it('believes refusals that repeat a number', () => {
    const credibility = new Credibility(COUNT_THEN_BLOCK);
    for (let answer = 1; answer < 9; answer += 1) {
      credibility.believe({ outcome: 'refused', epoch: 1, announced: { remaining: 0 } });
    }
    expect(credibility.isLost).toBe(false);
  });

  it('believes repeated numbers where slots return one by one', () => {
    const credibility = new Credibility(policyOf({ policy: 'sliding-window', limit: 10, windowMs: 2_000 }));
    for (let answer = 1; answer < 9; answer += 1) credibility.believe(accepted(0, 1));
    expect(credibility.isLost).toBe(false);
  });

  it.each([
    ['a window as long as ours', 2_000, 20],
    ['a window announced in whole seconds', 2_999, 20],
    ['a window one second longer', 3_000, -1],
    ['a day', 86_400_000, -1],
    ['no window', undefined, -1],
  ])('with a limit for %s (%s ms) uses %d', (_what, windowMs, limit) => {
    const announced = { remaining: 3, limit: 20, ...(windowMs === undefined ? {} : { windowMs }) };
    expect(new Credibility(COUNT_THEN_BLOCK).believe({ outcome: 'accepted', announced, epoch: 1 })).toMatchObject({
      limit,
    });
  });
});
