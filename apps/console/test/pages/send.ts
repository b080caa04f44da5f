import { expect, it } from '@jest/globals';
import type { Page } from 'playwright-core';
import { statsOf } from '../../../../test/support/client.js';
import type { ContextOf } from '../support/context.js';
import { FREE_LIMIT } from '../support/site.js';

export function testSend(context: ContextOf): void {
  it('shows a newcomer that of 15 messages ten went free and five were paid, what they cost, and when free reopens', async () => {
    const { site } = context();
    const page = await site.open('/console/send', { as: 'paid' });
    await page.getByRole('textbox', { name: 'Message' }).fill('hello');
    await page.getByLabel('How many').fill('15');
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await page.getByText(/^10 went free$/).waitFor();
    await page.getByText(/^5 were paid for$/).waitFor();
    await page.getByText(/^\$0\.0125 total cost$/).waitFor();
    await page.getByText(/^free is used up\. Free again in \d+ sec$/).waitFor();
    const { accepted, refused } = await statsOf(site.stack.origin.free);
    expect({ accepted, refused }).toEqual({ accepted: FREE_LIMIT, refused: 0 });
  });

  it('shows every hop of the message that was sent last', async () => {
    const page = await context().site.open('/console/send', { as: 'paid' });
    await useUpFree(page);
    await page.getByRole('heading', { name: /The way of message/ }).waitFor();
    await page.getByText('Delivered by paid').waitFor();
    const hops = await page.locator('.timeline .hop-title').allTextContents();
    expect(hops).toEqual([
      'Octo accepted the message',
      'free gave no permit',
      'Sent to paid',
      'paid accepted it',
      'Delivered by paid',
    ]);
  });

  it('shows a message that waits, and that it went free when the quota reopened, without a reload', async () => {
    const page = await context().site.open('/console/send', { as: 'paid' });
    await useUpFree(page);
    await page.getByRole('button', { name: 'Clear the list' }).click();
    await page.getByLabel('May it wait for free quota?').selectOption('Up to 10 minutes');
    await page.getByLabel('How many').fill('1');
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await page.getByText(/^1 waits$/).waitFor();
    // It may wait more than once.
    await page.getByText('Waits', { exact: true }).first().waitFor();
    await page.getByText('Delivered by free').waitFor();
    await page.getByText(/^1 went free$/).waitFor();
  });

  it('says that free quota is used up to an account without paid access', async () => {
    const { site, expectRefusals } = context();
    expectRefusals();
    const page = await site.open('/console/send', { as: 'free' });
    await page.getByRole('textbox', { name: 'Message' }).fill('hello');
    await page.getByLabel('How many').fill(String(FREE_LIMIT + 1));
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await page.getByText('Free quota is used up, and this message may not be paid for.').first().waitFor();
    await page.getByText(/was refused|were refused/).waitFor();
    expect(await page.getByLabel('Never pay for this message').count()).toBe(0);
  });

  it('makes a form from the JSON Schema of the channel, and sends what is filled in', async () => {
    const page = await context().site.open('/console/send', { as: 'paid' });
    await page.getByLabel('Channel').selectOption('sms');
    await page.getByLabel('Phone number').fill('+15551234567');
    await page.getByLabel('text', { exact: true }).fill('your code is 42');
    await page.getByLabel('kind (optional)').selectOption('reminder');
    await page.getByLabel('validHours (optional)').fill('24');
    await page.getByLabel('flash').check();
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await page.getByRole('link', { name: 'Open the message' }).click();
    const text = await page.getByRole('region', { name: 'Text' }).locator('pre').textContent();
    expect(JSON.parse(text ?? '')).toEqual({
      to: '+15551234567',
      text: 'your code is 42',
      kind: 'reminder',
      validHours: 24,
      flash: true,
    });
  });

  it('does not send while a field is empty or does not match its pattern', async () => {
    const page = await context().site.open('/console/send', { as: 'paid' });
    await page.getByLabel('Channel').selectOption('sms');
    await page.getByLabel('Phone number').fill('not a number');
    await page.getByLabel('text', { exact: true }).fill('hello');
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await page.locator('input:invalid').waitFor();
    await page.getByText('Messages that you send appear here').waitFor();
  });

  it('puts an error of the API beside the field that it names', async () => {
    const { site, expectRefusals } = context();
    expectRefusals();
    const page = await site.open('/console/send', { as: 'paid' });
    await page.getByLabel('Channel').selectOption('sms');
    await page.getByLabel('Phone number').fill('+15551234567');
    await page.getByLabel('text', { exact: true }).fill('x'.repeat(160));
    // Without the check of the browser, which knows only a part of JSON Schema.
    await page.evaluate("document.querySelector('form.send-form').noValidate = true");
    await page.getByLabel('Phone number').fill('12');
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await page.getByText(/must match pattern/).waitFor();
    expect(await page.getByLabel('Phone number').getAttribute('aria-invalid')).toBe('true');
  });
}

/** Sends until one message is paid for: free quota is used up, and was not reopened meanwhile. */
async function useUpFree(page: Page): Promise<void> {
  await page.getByRole('textbox', { name: 'Message' }).fill('hello');
  await page.getByLabel('How many').fill(String(FREE_LIMIT + 1));
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  await page.getByText(/was paid for|were paid for/).waitFor();
  await page.getByRole('button', { name: 'Send', exact: true }).waitFor();
}
