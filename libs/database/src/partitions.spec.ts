import { describe, expect, it } from '@jest/globals';
import { v7 as uuidv7 } from 'uuid';
import { firstIdOf } from './partitions.js';

describe('firstIdOf', () => {
  it('sorts before every id of its moment and after every earlier id', () => {
    const moment = Date.UTC(2026, 10, 1);
    const first = firstIdOf(new Date(moment));
    expect(uuidv7({ msecs: moment, random: new Uint8Array(16) }) > first).toBe(true);
    expect(uuidv7({ msecs: moment - 1, random: new Uint8Array(16).fill(255) }) < first).toBe(true);
  });
});
