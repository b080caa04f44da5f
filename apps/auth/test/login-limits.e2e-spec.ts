import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startStack, type Stack } from '../../../test/support/stack.js';
import { Browser, newEmail, PASSWORD, refusalOf } from './browser.js';

/** Guesses from as many network addresses. */
async function guessFromManyNetworks(stack: Stack, email: string, count: number): Promise<string[]> {
  const guess = async (): Promise<string> => refusalOf(await new Browser(stack.origin.auth).login(email, 'wrong one'));
  const outcomes: string[] = [];
  // A few at a time: more would wait for their hashes longer than a login may.
  while (outcomes.length < count) outcomes.push(...(await Promise.all(Array.from({ length: 5 }, guess))));
  return outcomes;
}
const countOf = (outcomes: string[], wanted: string): number => outcomes.filter((outcome) => outcome === wanted).length;

describe('logins of one account from many networks', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ apps: ['auth'], env: { LOGIN_FAILURES_PER_HOUR: '20' } });
  });
  afterAll(() => stack.stop());

  it('answers no more guesses than LOGIN_FAILURES_PER_HOUR, and known devices still log in', async () => {
    const email = newEmail();
    const owner = new Browser(stack.origin.auth);
    await owner.post('/auth/register', { email, password: PASSWORD });
    expect((await owner.login(email)).status).toBe(200);
    await owner.post('/auth/logout');

    const outcomes = await guessFromManyNetworks(stack, email, 40);
    expect(countOf(outcomes, '401 invalid_credentials')).toBe(20);
    expect(countOf(outcomes, '429 too_many_attempts')).toBe(20);
    const elsewhere = await new Browser(stack.origin.auth).login(email);
    expect(refusalOf(elsewhere)).toBe('429 too_many_attempts');
    expect(Number(elsewhere.headers.get('retry-after'))).toBeGreaterThan(3_000);
    expect((await owner.copy().login(email)).status).toBe(200);
  });

  it('does not exempt a device that has logged in to another account', async () => {
    const [email, own] = [newEmail(), newEmail()];
    const attacker = new Browser(stack.origin.auth);
    await attacker.post('/auth/register', { email, password: PASSWORD });
    await attacker.post('/auth/register', { email: own, password: PASSWORD });
    await attacker.login(own);
    await guessFromManyNetworks(stack, email, 20);
    expect(refusalOf(await attacker.login(email))).toBe('429 too_many_attempts');
  });

  it('answers the same for an e-mail address without an account', async () => {
    const outcomes = await guessFromManyNetworks(stack, newEmail(), 30);
    expect(countOf(outcomes, '401 invalid_credentials')).toBe(20);
    expect(countOf(outcomes, '429 too_many_attempts')).toBe(10);
  });

  it('keeps the device cookie when the session ends, and hides it from scripts and other sites', async () => {
    const email = newEmail();
    const browser = new Browser(stack.origin.auth);
    await browser.post('/auth/register', { email, password: PASSWORD });
    const [, , device] = (await browser.login(email)).headers.getSetCookie();
    expect(device).toMatch(/^octo_device=[\w.-]+; Max-Age=31536000; Path=\/auth; HttpOnly; SameSite=Strict$/);
    await browser.post('/auth/logout');
    expect(browser.cookies.has('octo_device')).toBe(true);
  });
});

describe('REGISTRATION=closed', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ apps: ['auth'], env: { REGISTRATION: 'closed' } });
  });
  afterAll(() => stack.stop());

  it('refuses registrations, the same for an e-mail address that is taken, and accepts logins', async () => {
    const browser = new Browser(stack.origin.auth);
    for (const email of [newEmail(), 'free@octo.local']) {
      expect(refusalOf(await browser.post('/auth/register', { email, password: PASSWORD }))).toBe('403 forbidden');
    }
    expect((await browser.login('free@octo.local')).status).toBe(200);
  });
});
