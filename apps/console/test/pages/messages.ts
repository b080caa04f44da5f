import { expect, it } from '@jest/globals';
import { login, postMessage } from '../../../../test/support/client.js';
import type { ContextOf } from '../support/context.js';

const SMS = { message: { to: '+15551234567', text: 'hello' }, channel: 'sms' };

export function testMessages(context: ContextOf): void {
  it('filters the messages, and keeps the filter in the address', async () => {
    const { site } = context();
    const cookie = await login(site.origin);
    await postMessage(site.origin, cookie, SMS);
    const page = await site.open('/console/messages', { as: 'paid' });
    await page.getByLabel('Channel').selectOption('sms');
    await page.waitForURL(/channel=sms/);
    await page.locator('tbody tr').first().waitFor();
    const providers = await page.locator('tbody td[data-label="Provider"]').allTextContents();
    expect(new Set(providers)).toEqual(new Set(['carrier']));
    await page.reload();
    await page.locator('tbody tr').first().waitFor();
    expect(await page.getByLabel('Channel').inputValue()).toBe('sms');
  });

  it('says so when no message matches', async () => {
    const page = await context().site.open('/console/messages?status=cancelled', { as: 'paid' });
    await page.getByText('No message matches.').waitFor();
  });

  it('invites an account without messages to send the first one', async () => {
    const page = await context().site.open('/console/messages', { as: 'admin' });
    await page.getByText('You have not sent a message yet.').waitFor();
    await page.getByRole('link', { name: 'Send the first one' }).click();
    await page.getByRole('heading', { name: 'New message' }).waitFor();
  });

  it('loads older messages below those on the page', async () => {
    const { site } = context();
    const cookie = await login(site.origin);
    await Promise.all(Array.from({ length: 27 }, () => postMessage(site.origin, cookie, SMS)));
    const page = await site.open('/console/messages', { as: 'paid' });
    await page.locator('tbody tr').nth(24).waitFor();
    expect(await page.locator('tbody tr').count()).toBe(25);
    await page.getByRole('button', { name: 'Load more' }).click();
    await page.locator('tbody tr').nth(26).waitFor();
    const ids = await page.locator('tbody a').allTextContents();
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('finds a message by its id and shows attempts, duration and cost', async () => {
    const { site } = context();
    const { body } = await postMessage(site.origin, await login(site.origin), SMS);
    const page = await site.open('/console/messages', { as: 'paid' });
    await page.getByLabel('Find a message by its id').fill(String(body.id));
    await page.getByRole('button', { name: 'Open' }).click();
    await page.getByText('Delivered by carrier').waitFor();
    const facts = await page.getByRole('region', { name: 'Facts' }).textContent();
    expect(facts).toContain('Cost$0.0079');
    expect(facts).toContain('Attempts1');
    expect(await page.locator('.timeline').textContent()).toMatch(/HTTP 200 · took [\d.]+ (ms|sec)/);
  });

  it('says that an id is unknown', async () => {
    const { site, expectRefusals } = context();
    expectRefusals();
    const page = await site.open('/console/messages/01999999-9999-7999-8999-999999999999', { as: 'paid' });
    await page.getByText('You have no message with this id.').waitFor();
  });

  it('cancels a waiting message after a question; Escape answers no and gives the focus back', async () => {
    const { site } = context();
    const cookie = await login(site.origin, 'free@octo.local');
    const deliverBy = new Date(Date.now() + 600_000).toISOString();
    // More than the quota: the last one waits.
    const answers = [];
    for (let i = 0; i < 12; i += 1) {
      answers.push(await postMessage(site.origin, cookie, { message: 'hello', deliverBy, channel: 'default' }));
    }
    const waiting = answers.find(({ status }) => status === 202);
    const page = await site.open(`/console/messages/${waiting?.body.id}`, { as: 'free' });
    const cancel = page.getByRole('button', { name: 'Cancel the message' });
    await cancel.focus();
    await page.keyboard.press('Enter');
    await page.getByRole('dialog', { name: 'Cancel this message?' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Cancel the message');
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel the message' }).click();
    await page.locator('.message-head').getByText('cancelled').waitFor();
  });
}
