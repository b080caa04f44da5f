import { describe, expect, it } from '@jest/globals';
import { clairvoyantAccepts } from './clairvoyant.js';

const policy = { limit: 2, blockMs: 100 };

describe('clairvoyantAccepts', () => {
  it('has every arrival while the window has room', () => {
    expect(clairvoyantAccepts([0, 500], policy)).toBe(2);
  });

  it('has none during the block, which is counted from the last accepted one', () => {
    expect(clairvoyantAccepts([0, 10, 20, 109, 110, 111, 112], policy)).toBe(4);
  });

  it('does not depend on the order they are told in', () => {
    expect(clairvoyantAccepts([110, 0, 20, 10], policy)).toBe(3);
  });
});
