import { describe, expect, it } from '@jest/globals';
import { retryAfterMs } from './retry-after.js';

const date = 'Fri, 20 Nov 2026 12:00:00 GMT';

describe('retryAfterMs', () => {
  it('takes whole seconds for rounded down, so that nobody comes back early', () => {
    expect(retryAfterMs({ 'retry-after': '30' })).toBe(30_999);
  });

  it('measures a date against the clock of the answer, not ours', () => {
    expect(retryAfterMs({ 'retry-after': 'Fri, 20 Nov 2026 12:00:05 GMT', date })).toBe(5_999);
  });

  it.each([
    ['none', undefined],
    ['zero', '0'],
    ['a date in the past', 'Fri, 20 Nov 2026 11:59:00 GMT'],
    ['a negative number', '-5'],
    ['a fraction', '1.5e3'],
    ['more seconds than anybody means', '99999999999'],
    ['words', 'soon'],
    ['a list', ['1', '2']],
  ])('makes nothing of %s', (_what, value) => {
    expect(retryAfterMs({ 'retry-after': value, date })).toBeUndefined();
  });
});
