import { describe, expect, it } from '@jest/globals';
import { sendMessageSchema } from './messages.js';

describe('callbackUrl', () => {
  const accepts = (callbackUrl: unknown): boolean => sendMessageSchema.safeParse({ message: 'a', callbackUrl }).success;

  it('is accepted as a URL of RFC 3986', () => {
    expect(accepts('https://example.com/path?query=%C3%A9')).toBe(true);
  });

  // URL parsers repair these; Postgres refuses some of them.
  it.each([
    'https://example.com/\u0000',
    'https://example.com/\ud800',
    ' https://example.com',
    'https://exa\nmple.com',
  ])('is refused as %j', (url) => {
    expect(accepts(url)).toBe(false);
  });
});
