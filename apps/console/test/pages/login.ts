import { expect, it } from '@jest/globals';
import { DEMO_PASSWORD } from '../../../../tools/stack/log-in.js';
import type { ContextOf } from '../support/context.js';
import { logIn } from '../support/site.js';

export function testLogin(context: ContextOf): void {
  it('works with the keyboard alone', async () => {
    const page = await context().site.open('/console');
    await page.getByLabel('E-mail address').waitFor();
    await page.keyboard.type('paid@octo.local');
    await page.keyboard.press('Tab');
    await page.keyboard.type(DEMO_PASSWORD);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
  });

  it('says that e-mail address or password is wrong, and lets the visitor try again', async () => {
    const { site, expectRefusals } = context();
    expectRefusals();
    const page = await site.open('/console');
    await page.getByLabel('E-mail address').fill('paid@octo.local');
    await page.getByLabel('Password').fill('wrong');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('alert').getByText('Wrong e-mail address or password.').waitFor();
    await logIn(page, 'paid');
  });

  it('opens the page of the address after the login', async () => {
    const page = await context().site.open('/console/send');
    await page.getByLabel('E-mail address').fill('paid@octo.local');
    await page.getByLabel('Password').fill(DEMO_PASSWORD);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('heading', { name: 'New message' }).waitFor();
  });

  it('gives scripts no access to the tokens', async () => {
    const page = await context().site.open('/console', { as: 'paid' });
    await page.getByText('Live · 2 pods').waitFor();
    expect(await page.evaluate('document.cookie')).toBe('');
    expect(await page.evaluate('JSON.stringify(localStorage)')).not.toMatch(/eyJ/);
  });

  it('ends the session at the log-out: the next visit asks for a login', async () => {
    const page = await context().site.open('/console');
    await logIn(page, 'paid');
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByRole('button', { name: 'Log in' }).waitFor();
    await page.reload();
    await page.getByRole('button', { name: 'Log in' }).waitFor();
    const answer = await page.evaluate("fetch('/quota').then(({ status }) => status)").catch(() => 0);
    context().expectRefusals();
    expect(answer).toBe(401);
  });

  it('renews an access token that has expired, and goes on', async () => {
    const page = await context().site.open('/console');
    await logIn(page, 'paid');
    // Away from the console, which asks again and again and would be refused without the cookie.
    await page.goto(`${context().site.origin}/health/live`);
    await page.context().clearCookies({ name: 'octo_token' });
    await page.evaluate("localStorage.setItem('octo.session.expiresAt', new Date(0).toISOString())");
    await page.goto(`${context().site.origin}/console`);
    await page.getByText('Live · 2 pods').waitFor();
    const names = (await page.context().cookies()).map(({ name }) => name);
    expect(names).toContain('octo_token');
  });
}
