import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { expect, it } from '@jest/globals';
import type { Page } from 'playwright-core';
import { login, postMessage } from '../../../../test/support/client.js';
import type { ContextOf } from '../support/context.js';
import { sendTrace, SMS } from '../support/send-trace.js';
import type { AccountName, Site } from '../support/site.js';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** Text that is there once a page has its content. */
const PAGES: [name: string, path: string, as: AccountName | undefined, text: RegExp][] = [
  ['Login', '/console', undefined, /Use your account/],
  ['Overview', '/console', 'paid', /requests used/],
  ['Send', '/console/send', 'paid', /Never pay/],
  ['Messages', '/console/messages', 'paid', /Created/],
  ['Message', '/console/messages/ID', 'paid', /Delivered by/],
  ['Trace', '/console/traces/TRACE', 'paid', /3 messages/],
  ['Usage', '/console/usage', 'paid', /Days begin/],
  ['Usage of all accounts', '/console/usage?by=provider&account=all', 'admin', /Days begin/],
  ['Configuration', '/console/configuration', 'paid', /JSON Schema of a message/],
  ['Providers', '/console/providers', 'admin', /State/],
  ['Accounts', '/console/accounts', 'admin', /May log in/],
];
const LANGUAGES: [locale: string, heading: string, count: string][] = [
  ['en-GB', 'Overview', '2 pods'],
  ['ru-RU', 'Обзор', '2 пода'],
  ['es-ES', 'Resumen', '2 pods'],
];

export function testAppearance(context: ContextOf): void {
  it.each(PAGES)('page %s has no finding of axe, neither light nor dark', async (_name, path, as, text) => {
    const { site } = context();
    const page = await site.open(await addressOf(site, path), { as });
    await page.getByText(text).first().waitFor();
    await page.evaluate(AXE);
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      expect({ colorScheme, findings: await axeFindings(page) }).toEqual({ colorScheme, findings: [] });
    }
  });

  it.each(PAGES)('page %s fits into 400 px', async (_name, path, as, text) => {
    const { site } = context();
    const page = await site.open(await addressOf(site, path), { as, width: 400 });
    await page.getByText(text).first().waitFor();
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(400);
  });

  it('follows the system between light and dark, unless the visitor has chosen', async () => {
    const page = await context().site.open('/console', { as: 'paid', theme: 'dark' });
    const ground = (): Promise<unknown> => page.evaluate('getComputedStyle(document.body).backgroundColor');
    const dark = await ground();
    await page.emulateMedia({ colorScheme: 'light' });
    const light = await ground();
    expect(light).not.toBe(dark);
    await page.getByRole('button', { name: 'Colours: as the system' }).click();
    await page.getByRole('button', { name: 'Colours: light' }).click();
    expect(await ground()).toBe(dark);
    await page.reload();
    await page.getByRole('button', { name: 'Colours: dark' }).waitFor();
    expect(await ground()).toBe(dark);
  });

  it.each(LANGUAGES)('speaks the language of the browser: %s', async (locale, heading, count) => {
    const page = await context().site.open('/console', { as: 'paid', locale });
    await page.getByRole('heading', { name: heading, level: 1 }).waitFor();
    await page.getByText(count).waitFor();
    expect(await page.locator('html').getAttribute('lang')).toBe(locale.slice(0, 2));
  });

  it('is usable with the keyboard: skip link, pages, and a message sent with Ctrl + Enter', async () => {
    const page = await context().site.open('/console', { as: 'paid' });
    await page.getByText('Live · 2 pods').waitFor();
    await page.keyboard.press('Tab');
    expect(await focused(page)).toBe('Skip to the content');
    for (let i = 0; i < 3; i += 1) await page.keyboard.press('Tab');
    expect(await focused(page)).toBe('Send');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'New message' }).waitFor();
    // A page begins at its heading.
    expect(await focused(page)).toBe('Send');
    await page.getByRole('textbox', { name: 'Message' }).focus();
    await page.keyboard.type('hello');
    await page.keyboard.press('Control+Enter');
    await page.getByText('Delivered by').waitFor();
  });
}

/** Replaces `ID` by the id of a message that was delivered, and `TRACE` by the id of a trace. */
async function addressOf(site: Site, path: string): Promise<string> {
  if (path.includes('TRACE')) return path.replace('TRACE', (await sendTrace(site)).traceId);
  if (!path.includes('ID')) return path;
  const { body } = await postMessage(site.origin, await login(site.origin), SMS);
  return path.replace('ID', String(body.id));
}

async function axeFindings(page: Page): Promise<string[]> {
  const { violations } = await page.evaluate<{
    violations: { id: string; nodes: { target: string[]; failureSummary: string }[] }[];
  }>('axe.run()');
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id}: ${target.join(' ')}: ${failureSummary}`),
  );
}

async function focused(page: Page): Promise<unknown> {
  return page.evaluate('document.activeElement.textContent.trim()');
}
