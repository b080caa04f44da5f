import { describe, expect, it } from '@jest/globals';
import { BodyParts } from './answer-body.js';

describe('BodyParts', () => {
  it('joins parts of all sizes', () => {
    const body = new BodyParts();
    const parts = ['', 'a', 'bc', 'x'.repeat(5_000), '', 'd', 'y'.repeat(70_000), 'e'];
    for (const part of parts) body.add(Buffer.from(part));
    expect(body.whole().toString() === parts.join('')).toBe(true);
    expect(new BodyParts().whole().length).toBe(0);
  });

  it('does not keep a million parts of one byte', () => {
    const read = Buffer.alloc(65_536, 'x');
    const body = new BodyParts();
    const before = process.memoryUsage().heapUsed;
    for (let index = 0; index < 1_000_000; index += 1) body.add(read.subarray(index & 0xffff, (index & 0xffff) + 1));
    // A million buffers take about 100 MB.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(50_000_000);
    expect(body.whole().length).toBe(1_000_000);
  });
});
