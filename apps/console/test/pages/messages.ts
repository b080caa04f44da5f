import { randomBytes, randomUUID } from 'node:crypto';
import { expect, it } from '@jest/globals';
import type { Page } from 'playwright-core';
import { login, postMessage } from '../../../../test/support/client.js';
import type { ContextOf } from '../support/context.js';
import { sendTrace, SMS } from '../support/send-trace.js';

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
    await find(page, String(body.id));
    await page.getByText('Delivered by carrier').waitFor();
    const facts = await page.getByRole('region', { name: 'Facts' }).textContent();
    expect(facts).toContain('Cost$0.0079');
    expect(facts).toContain('Attempts1');
    expect(await page.locator('.timeline').textContent()).toMatch(/HTTP 200 · took [\d.]+ (ms|sec)/);
  });

  it('finds a message by its idempotency key, also one that looks like an id', async () => {
    const { site, expectRefusals } = context();
    // Before the key, the page asks for a message with this id.
    expectRefusals();
    const cookie = await login(site.origin);
    for (const key of [`order/${randomUUID()}?a=b&c`, randomUUID()]) {
      const { body } = await postMessage(site.origin, cookie, SMS, { 'idempotency-key': key });
      const page = await site.open('/console/messages', { as: 'paid' });
      await find(page, key);
      await page.waitForURL(`**/console/messages/${body.id}`);
      await page.getByText('Delivered by carrier').waitFor();
    }
  });

  it('says that nothing was found, and goes on searching', async () => {
    const { site } = context();
    const { traceId } = await sendTrace(site);
    const page = await site.open('/console/messages', { as: 'paid' });
    await find(page, randomUUID().replaceAll('-', ''));
    await page.getByRole('alert').getByText('No message of yours has this id').waitFor();
    await find(page, ` ${traceId.toUpperCase()} `);
    await page.waitForURL(`**/console/traces/${traceId}`);
  });

  it('shows all messages of a trace in one timeline, two clicks from the list', async () => {
    const { site } = context();
    const { traceId, ids } = await sendTrace(site);
    const page = await site.open('/console/messages', { as: 'paid' });
    await page.locator(`tbody a[title="${ids[1]}"]`).click();
    await page.getByRole('link', { name: 'All messages of this trace' }).click();
    await page.waitForURL(`**/console/traces/${traceId}`);
    await page.getByText('3 messages').waitFor();
    const lanes = page.locator('.lanes li');
    expect(await lanes.locator('a').evaluateAll((links) => links.map(({ title }) => title))).toEqual(ids);
    expect(await lanes.nth(0).textContent()).toMatch(/^#1.*delivered paid.*carrier · \$0\.0079/);
    // Its provider may be refusing it just now.
    await lanes.nth(2).getByText('waiting', { exact: true }).waitFor();
    expect(await lanes.nth(2).textContent()).toMatch(/^#3.*later$/);
    await lanes.nth(2).locator('.span-wait').first().waitFor();
    const hops = await page.locator('.timeline .hop-title').allTextContents();
    const sends = hops.filter((text) => /Sent to carrier|Waits/.test(text)).map((text) => text.trim());
    expect(sends.slice(0, 3)).toEqual(['#1 Sent to carrier', '#2 Sent to carrier', '#3 Waits']);
  });

  it('shows on the page of a trace that a waiting message has ended', async () => {
    const { site } = context();
    const { traceId, ids } = await sendTrace(site);
    const page = await site.open(`/console/traces/${traceId}`, { as: 'paid' });
    await page.locator('.lanes li').getByText('waiting', { exact: true }).waitFor();
    const cookie = await login(site.origin);
    const cancelled = await fetch(`${site.origin}/messages/${ids[2]}`, { method: 'DELETE', headers: { cookie } });
    expect(cancelled.status).toBe(204);
    await page.locator('.lanes li').getByText('cancelled', { exact: true }).waitFor();
    await page.locator('.timeline').getByText('Cancelled').waitFor();
  });

  it('loads earlier messages of a long trace above those on the page', async () => {
    const { site } = context();
    const traceId = randomBytes(16).toString('hex');
    const cookie = await login(site.origin);
    const headers = { traceparent: `00-${traceId}-00f067aa0ba902b7-01` };
    await Promise.all(Array.from({ length: 27 }, () => postMessage(site.origin, cookie, SMS, headers)));
    const page = await site.open(`/console/traces/${traceId}`, { as: 'paid' });
    await page.getByText('25 messages').waitFor();
    const last = await page.locator('.lanes a').last().getAttribute('title');
    await page.getByRole('button', { name: 'Load earlier messages' }).click();
    await page.getByText('27 messages').waitFor();
    expect(await page.locator('.lanes a').last().getAttribute('title')).toBe(last);
    expect(await page.getByRole('button', { name: 'Load earlier messages' }).count()).toBe(0);
  });

  it('shows nothing of the trace of another account', async () => {
    const { site } = context();
    const { traceId } = await sendTrace(site);
    const page = await site.open(`/console/traces/${traceId}`, { as: 'free' });
    await page.getByText('You have no message of this trace.').waitFor();
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
    // Its only provider refuses every message: it waits until it is cancelled.
    const { body } = await postMessage(site.origin, cookie, { message: 'hello', deliverBy, channel: 'refusing' });
    const page = await site.open(`/console/messages/${body.id}`, { as: 'free' });
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

async function find(page: Page, text: string): Promise<void> {
  await page.getByLabel('Find by message id, idempotency key or trace id').fill(text);
  await page.getByRole('button', { name: 'Find' }).click();
}
