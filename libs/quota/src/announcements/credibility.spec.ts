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

describe('announcements', () => {
  it('are believed while they count down', () => {
    const credibility = new Credibility(COUNT_THEN_BLOCK);
    for (const remaining of [9, 8, 8, 7, 6])
      expect(credibility.believe(accepted(remaining, 1))?.remaining).toBe(remaining);
    expect(credibility.isLost).toBe(false);
  });

  it('are not believed any more once they repeat themselves, but for a Retry-After', () => {
    const credibility = new Credibility(COUNT_THEN_BLOCK);
    for (let answers = 1; answers <= 3; answers += 1) credibility.believe(accepted(5, 1));
    expect(credibility.believe(accepted(5, 1, 9))).toEqual({ retryAfterMs: 9 });
    expect(credibility.believe(accepted(4, 2))).toBeUndefined();
  });

  it('are remembered a thousand at most, however large the window', () => {
    const credibility = new Credibility(COUNT_THEN_BLOCK);
    for (let answers = 1; answers <= 3; answers += 1) credibility.believe(accepted(5_000, 1));
    for (let remaining = 4_999; remaining >= 4_000; remaining -= 1) credibility.believe(accepted(remaining, 1));
    credibility.believe(accepted(5_000, 1));
    expect(credibility.isLost).toBe(false);
    for (let answers = 1; answers <= 3; answers += 1) credibility.believe(accepted(4_001, 1));
    expect(credibility.isLost).toBe(true);
  });

  it('may say the same in each window', () => {
    const credibility = new Credibility(COUNT_THEN_BLOCK);
    for (let epoch = 1; epoch < 99; epoch += 1) {
      credibility.believe(accepted(9, epoch));
      credibility.believe(accepted(8, epoch));
    }
    expect(credibility.isLost).toBe(false);
  });

  it('are not believed when they never change from window to window, until a refusal proves them right', () => {
    const credibility = new Credibility(COUNT_THEN_BLOCK);
    for (let epoch = 1; epoch <= 9; epoch += 1) credibility.believe(accepted(0, epoch));
    expect(credibility.isLost).toBe(true);
    credibility.believe({ outcome: 'refused', epoch: 10 });
    expect(credibility.isLost).toBe(false);
    for (let epoch = 11; epoch <= 20; epoch += 1) credibility.believe(accepted(0, epoch));
    expect(credibility.isLost).toBe(false);
  });

  it('of refusals may repeat themselves', () => {
    const credibility = new Credibility(COUNT_THEN_BLOCK);
    for (let answer = 1; answer < 9; answer += 1) {
      credibility.believe({ outcome: 'refused', epoch: 1, announced: { remaining: 0 } });
    }
    expect(credibility.isLost).toBe(false);
  });

  it('may repeat themselves where slots come back one by one', () => {
    const credibility = new Credibility(policyOf({ policy: 'sliding-window', limit: 10, windowMs: 2_000 }));
    for (let answer = 1; answer < 9; answer += 1) credibility.believe(accepted(0, 1));
    expect(credibility.isLost).toBe(false);
  });

  it.each([
    ['of a window as long as ours', 2_000, 20],
    ['of a window told in whole seconds', 2_999, 20],
    ['of a window a second longer', 3_000, -1],
    ['of a day', 86_400_000, -1],
    ['of no window', undefined, -1],
  ])('change the limit when they are %s', (_what, windowMs, limit) => {
    const announced = { remaining: 3, limit: 20, ...(windowMs === undefined ? {} : { windowMs }) };
    expect(new Credibility(COUNT_THEN_BLOCK).believe({ outcome: 'accepted', announced, epoch: 1 })).toMatchObject({
      limit,
    });
  });
});
