import { describe, expect, it } from '@jest/globals';
import { AcceptanceLog } from './message-intake.js';

describe('AcceptanceLog', () => {
  it('forgets the oldest requests beyond its limit', () => {
    const log = new AcceptanceLog(3);
    for (const key of 'abcdefghij') log.add({ key, nowMs: 0 });
    expect(log.latest().map(({ key }) => key)).toEqual(['h', 'i', 'j']);
  });
});
