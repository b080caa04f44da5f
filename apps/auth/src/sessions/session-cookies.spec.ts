import { describe, expect, it } from '@jest/globals';
import type { FastifyReply } from 'fastify';
import { SessionCookies } from './session-cookies.js';

/** The cookies of a new session for a public origin. */
function cookiesFor(publicOrigin: string): string[] {
  let set: string[] = [];
  const reply = { header: (_name: string, value: string[]) => (set = value) } as unknown as FastifyReply;
  new SessionCookies(publicOrigin).set(reply, { accessToken: 'x.y.z', refreshToken: 'r' }, 'd');
  return set;
}

describe('SessionCookies', () => {
  it('hides the cookies from scripts and other sites', () => {
    expect(cookiesFor('http://localhost:3000')).toEqual([
      'octo_token=x.y.z; Max-Age=900; Path=/; HttpOnly; SameSite=Lax',
      'octo_refresh=r; Max-Age=2592000; Path=/auth; HttpOnly; SameSite=Strict',
      'octo_device=d; Max-Age=31536000; Path=/auth; HttpOnly; SameSite=Strict',
    ]);
  });

  it.each([
    ['http://localhost:3000', false],
    ['http://127.0.0.1:3000', false],
    ['http://[::1]:3000', false],
    ['https://localhost', true],
    ['https://octo.example', true],
    ['http://octo.example', true],
    ['http://localhost.evil.example', true],
  ])('for the origin %s sets Secure to %s', (origin, secure) => {
    expect(cookiesFor(origin).map((cookie) => cookie.includes('; Secure'))).toEqual([secure, secure, secure]);
  });
});
