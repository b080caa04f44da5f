import { expect, it } from '@jest/globals';
import type { Usage } from '#contracts';
import { call, login, postMessage } from '../../../../test/support/client.js';
import type { ContextOf } from '../support/context.js';

export function testOverview(context: ContextOf): void {
  it('shows a gauge for each quota, with what is used of the limit', async () => {
    const page = await context().site.open('/console', { as: 'paid' });
    const gauge = page.getByRole('meter', { name: 'free: count-then-block' });
    await gauge.waitFor();
    expect(await gauge.getAttribute('aria-valuemax')).toBe('10');
    await page.getByRole('article', { name: 'paid' }).getByText('No limit').waitFor();
    await page.getByRole('article', { name: 'carrier' }).getByText('$0.0079 per message').waitFor();
  });

  it('adds up what all pods send, while the page is open', async () => {
    const { site } = context();
    const page = await site.open('/console', { as: 'paid' });
    await page.getByText('Live · 2 pods').waitFor();
    await page.getByRole('heading', { name: 'Your messages today' }).waitFor();
    const cookie = await login(site.origin);
    const { body: before } = await call<Usage>(`${site.origin}/usage`, { headers: { cookie } });
    const sms = { message: { to: '+15551234567', text: 'hello' }, channel: 'sms' };
    for (const gateway of site.stack.gateways) expect((await postMessage(gateway, cookie, sms)).status).toBe(200);
    const figure = (name: string, text: string) =>
      page.locator('.figure', { hasText: name }).getByText(text, { exact: true });
    await figure('Delivered paid', String(before.paid.count + 2)).waitFor();
    await figure('Spent', `$${((before.paid.costMicros + 2 * 7_900) / 1e6).toFixed(4)}`).waitFor();
  });

  it('draws what happened in each second', async () => {
    const page = await context().site.open('/console', { as: 'paid' });
    await page.getByText('Live · 2 pods').waitFor();
    await page.locator('.chart canvas').waitFor();
    const names = await page.locator('.legend li').allTextContents();
    expect(names.map((text) => text.replace(/[\d.\s]/g, ''))).toEqual(['free', 'paid', 'waiting', 'refused', 'failed']);
  });

  it('raises an alert for an account that the gateway has paused, with the reason and the next try', async () => {
    const { site } = context();
    const cookie = await login(site.origin);
    const page = await site.open('/console', { as: 'paid' });
    // Without a quota, a refusal pauses an account for as long as it says.
    await postMessage(site.origin, cookie, { message: 'hello', channel: 'refusing' });
    await page.getByText(/The account refusing is paused: .*Next try in/).waitFor();
    await page.getByRole('article', { name: 'refusing' }).getByText('paused', { exact: true }).waitFor();
  });

  it('says the exact time on hover, where it shows a relative one', async () => {
    const page = await context().site.open('/console/messages', { as: 'paid' });
    const time = page.locator('tbody time').first();
    await time.waitFor();
    expect(await time.textContent()).toMatch(/ago|now/);
    expect(await time.getAttribute('title')).toMatch(/20\d\d.*\d:\d\d:\d\d/);
  });

  it('holds one event stream, and none while the tab is hidden', async () => {
    const { site } = context();
    const page = await site.open('/console', { as: 'paid' });
    const isLive = (): Promise<void> => page.getByText('Live · 2 pods').waitFor();
    await isLive();
    const requests: string[] = [];
    page.on('request', (request) => requests.push(new URL(request.url()).pathname));
    await page.reload();
    await isLive();
    expect(requests.filter((path) => path === '/console/events')).toHaveLength(1);
    const hide = (state: string): string =>
      `Object.defineProperty(document, 'visibilityState', { value: '${state}', configurable: true });
       document.dispatchEvent(new Event('visibilitychange'));`;
    const ended = page.waitForEvent('requestfailed', (request) => request.url().endsWith('/console/events'));
    await page.evaluate(hide('hidden'));
    await ended;
    const begun = page.waitForEvent('request', (request) => request.url().endsWith('/console/events'));
    await page.evaluate(hide('visible'));
    await begun;
  });
}
