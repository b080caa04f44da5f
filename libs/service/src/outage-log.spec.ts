import { describe, expect, it } from '@jest/globals';
import { OutageLog } from './outage-log.js';

describe('OutageLog', () => {
  it('logs the first failure and the first success after it, and nothing in between', () => {
    const lines: string[] = [];
    const logger = { warn: (line: string) => lines.push(`warn ${line}`), log: (line: string) => lines.push(line) };
    const outage = new OutageLog(logger, { failed: 'store is down', recovered: 'store is back' });

    outage.recovered();
    outage.failed();
    outage.failed();
    expect(outage.isDown).toBe(true);
    outage.recovered();
    outage.recovered();
    outage.failed();

    expect(lines).toEqual(['warn store is down', 'store is back', 'warn store is down']);
  });
});
