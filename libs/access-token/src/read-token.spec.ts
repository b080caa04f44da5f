import { describe, expect, it } from '@jest/globals';
import { readAccessToken, readCookie } from './read-token.js';

describe('readAccessToken', () => {
  it('takes the cookie', () => {
    expect(readAccessToken({ cookie: 'a=1; octo_token=x.y.z; b=2' })).toBe('x.y.z');
  });

  it('takes the bearer token, whatever the case of the scheme', () => {
    expect(readAccessToken({ authorization: 'bearer x.y.z' })).toBe('x.y.z');
  });

  it('prefers the bearer token, even a nonsensical one', () => {
    expect(readAccessToken({ authorization: 'Bearer <no>', cookie: 'octo_token=x.y.z' })).toBe('<no>');
  });

  it('falls back to the cookie when another scheme is used', () => {
    expect(readAccessToken({ authorization: 'Basic abc', cookie: 'octo_token=x.y.z' })).toBe('x.y.z');
  });

  it('finds nothing where nothing is', () => {
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
