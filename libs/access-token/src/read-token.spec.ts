import { describe, expect, it } from '@jest/globals';
import { readAccessToken, readCookie } from './read-token.js';

describe('readAccessToken', () => {
  it('reads the cookie', () => {
    expect(readAccessToken({ cookie: 'a=1; octo_token=x.y.z; b=2' })).toBe('x.y.z');
  });

  it('reads the bearer token, with the scheme in any case', () => {
    expect(readAccessToken({ authorization: 'bearer x.y.z' })).toBe('x.y.z');
  });

  it('prefers the bearer token, even a malformed one', () => {
    expect(readAccessToken({ authorization: 'Bearer <no>', cookie: 'octo_token=x.y.z' })).toBe('<no>');
  });

  it('falls back to the cookie when the scheme is not Bearer', () => {
    expect(readAccessToken({ authorization: 'Basic abc', cookie: 'octo_token=x.y.z' })).toBe('x.y.z');
  });

  it('returns undefined without a token', () => {
    expect(readAccessToken({})).toBeUndefined();
    expect(readAccessToken({ authorization: 'Bearer ' })).toBeUndefined();
  });
});

describe('readCookie', () => {
  it.each([
    ['name=value', 'value'],
    [' other=1;name = value ', 'value'],
    ['name=a=b', 'a=b'],
    ['name=first; name=second', 'first'],
    ['not_name=value', undefined],
    ['name=', undefined],
    ['name', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('reads %j as %j', (header, value) => {
    expect(readCookie(header, 'name')).toBe(value);
  });
});
