import { describe, expect, it } from '@jest/globals';
import { childTraceparent, nextTraceparent } from './trace-context.js';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';

describe('nextTraceparent', () => {
  it('keeps trace id and flags, with a new parent id', () => {
    const next = nextTraceparent(`00-${TRACE}-00f067aa0ba902b7-01`);
    expect(next).toMatch(new RegExp(`^00-${TRACE}-[0-9a-f]{16}-01$`));
    expect(next).not.toContain('00f067aa0ba902b7');
  });
});

describe('childTraceparent', () => {
  it('keeps trace id and flags of the caller, with a new parent id', () => {
    const child = childTraceparent(`00-${TRACE}-00f067aa0ba902b7-01`);
    expect(child).toMatch(new RegExp(`^00-${TRACE}-[0-9a-f]{16}-01$`));
    expect(child).not.toContain('00f067aa0ba902b7');
  });

  it.each([
    ['no header', undefined],
    ['a trace id of zeros', `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`],
    ['a parent id of zeros', `00-${TRACE}-${'0'.repeat(16)}-01`],
    ['capitals', `00-${TRACE.toUpperCase()}-00f067aa0ba902b7-01`],
    ['no traceparent at all', 'hello'],
  ])('starts a new trace for %s', (_what, incoming) => {
    const child = childTraceparent(incoming);
    expect(child).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
    expect(child).not.toContain(TRACE);
  });
});
