import { randomUUID } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { accountPageSchema, cursorAfter } from './account-page.js';

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('accountPageSchema', () => {
  it('parses the cursor of an earlier answer', () => {
    const position = { createdAt: new Date('2026-11-20T12:00:00.123Z'), id: randomUUID() };
    expect(accountPageSchema.parse({ cursor: cursorAfter(position) })).toEqual({ limit: 50, cursor: position });
  });

  it.each([
    { limit: '0' },
    { limit: '101' },
    { limit: '1.5' },
    { limit: 'x' },
    { cursor: '' },
    { cursor: '%%%' },
    { cursor: encode(['2026-11-20T12:00:00Z']) },
    { cursor: encode(['yesterday', randomUUID()]) },
    { cursor: encode(['2026-11-20T12:00:00Z', '1; drop table accounts']) },
    { page: '2' },
  ])('refuses %j', (query) => {
    expect(accountPageSchema.safeParse(query).success).toBe(false);
  });
});
