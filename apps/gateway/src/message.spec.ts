import { describe, expect, it } from '@jest/globals';
import type { Hop } from '#contracts';
import { wasSent } from './message.js';

const hop = (step: Hop['step'], but: Partial<Hop> = {}): Hop => ({
  at: '2026-11-20T12:00:00.000Z',
  pod: 'pod',
  step,
  ...but,
});
const sending = hop('sending', { provider: 'free' });
const answered = (outcome: Hop['outcome']) => hop('answered', { provider: 'free', outcome });

describe('wasSent', () => {
  it.each([
    ['is on its way', [sending]],
    ['was delivered', [sending, answered('delivered')]],
    ['was not answered', [sending, answered('unknown')]],
    ['was refused by one and not answered by the next', [sending, answered('refused'), sending]],
  ])('of a message that %s', (_what, hops) => {
    expect(wasSent([hop('accepted'), ...hops])).toBe(true);
  });

  it.each([
    ['nobody was tried for', []],
    ['there was no permit for', [hop('no_permit', { provider: 'free' })]],
    ['was refused', [sending, answered('refused')]],
    ['was taken over before it was sent', [hop('taken_over'), hop('failed')]],
  ])('not of a message that %s', (_what, hops) => {
    expect(wasSent([hop('accepted'), ...hops])).toBe(false);
  });
});
