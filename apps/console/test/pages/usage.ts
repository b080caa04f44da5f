import { readFileSync } from 'node:fs';
import { expect, it } from '@jest/globals';
import type { Page } from 'playwright-core';
import type { Usage } from '#contracts';
import { call, login, postMessage } from '../../../../test/support/client.js';
import type { ContextOf } from '../support/context.js';
import { SMS } from '../support/send-trace.js';

export function testUsage(context: ContextOf): void {
  it('shows by provider what was delivered and spent, as the API counts it, and keeps the choice in the address', async () => {
    const { site } = context();
    const cookie = await login(site.origin);
    await postMessage(site.origin, cookie, SMS);
    const { body } = await call<Usage>(`${site.origin}/usage?by=provider`, { headers: { cookie } });
    const page = await site.open('/console/usage', { as: 'paid' });
    await page.locator('.chart canvas').waitFor();
    await page.getByLabel('Group by').selectOption('provider');
    await page.waitForURL(/by=provider/);
    await page.getByRole('rowheader', { name: 'carrier' }).waitFor();
    const carrier = body.series?.find(({ provider }) => provider === 'carrier');
    const rows = await rowsOf(page);
    expect(rows.filter(([name]) => name === 'carrier')).toEqual([['carrier', 0, carrier?.paid.count]]);
    const sum = (column: number) => rows.slice(0, -1).reduce((total, row) => total + Number(row[column]), 0);
    expect(rows.at(-1)).toEqual(['Total', sum(1), sum(2)]);
    await page.locator('.chart canvas').waitFor();
    await page.reload();
    await page.getByRole('rowheader', { name: 'carrier' }).waitFor();
    expect(await page.getByLabel('Group by').inputValue()).toBe('provider');
  });

  it('shows the days from a date through another one', async () => {
    const { site } = context();
    await postMessage(site.origin, await login(site.origin), SMS);
    const today = new Date().toISOString().slice(0, 10);
    const page = await site.open('/console/usage', { as: 'paid' });
    await page.getByRole('rowheader', { name: 'Total' }).waitFor();
    await page.getByLabel('From').fill('2020-02-01');
    await page.getByLabel('Through').fill('2020-02-29');
    await page.getByText('Nothing was delivered in this time.').waitFor();
    expect(new URL(page.url()).search).toBe('?by=day&from=2020-02-01&through=2020-02-29');
    await page.getByLabel('Through').fill(today);
    await page.getByRole('rowheader', { name: 'Total' }).waitFor();
  });

  it('downloads the same figures as CSV', async () => {
    const { site } = context();
    const cookie = await login(site.origin);
    await postMessage(site.origin, cookie, SMS);
    const page = await site.open('/console/usage?by=channel', { as: 'paid' });
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Download CSV' }).click();
    const file = await download;
    expect(file.suggestedFilename()).toBe('octo-usage-by-channel.csv');
    const csv = await fetch(`${site.origin}/usage?by=channel`, { headers: { cookie, accept: 'text/csv' } });
    expect(readFileSync(await file.path(), 'utf8')).toBe(await csv.text());
  });

  it('shows admins another account, or all; a link leads there from the page Accounts', async () => {
    const { site } = context();
    const admin = await login(site.origin, 'admin@octo.local');
    const { body: all } = await call<Usage>(`${site.origin}/usage?account=all`, { headers: { cookie: admin } });
    const page = await site.open('/console/accounts', { as: 'admin' });
    await page.getByRole('link', { name: 'Usage of paid@octo.local' }).click();
    await page.getByRole('rowheader', { name: 'Total' }).waitFor();
    const account = page.getByLabel('Account');
    await account.locator('option:checked', { hasText: 'paid@octo.local' }).waitFor({ state: 'attached' });
    await account.selectOption('all accounts');
    await page.waitForURL(/account=all/);
    await page.getByRole('rowheader', { name: 'Total' }).waitFor();
    // Messages of other tests may have been delivered meanwhile.
    const [, free, paid] = (await rowsOf(page)).at(-1) ?? [];
    expect(Number(free)).toBeGreaterThanOrEqual(all.free.count);
    expect(Number(paid)).toBeGreaterThanOrEqual(all.paid.count);
    expect(Number(paid)).toBeGreaterThan(0);
    await account.selectOption('my own');
    await page.getByText('Nothing was delivered in this time.').waitFor();
  });

  it('offers no other accounts to users, whatever the address says', async () => {
    const page = await context().site.open('/console/usage?account=all', { as: 'paid' });
    await page.getByRole('rowheader', { name: 'Total' }).waitFor();
    expect(await page.getByLabel('Account').count()).toBe(0);
  });

  it('says what went wrong, and tries again', async () => {
    const { site, expectRefusals } = context();
    expectRefusals();
    const page = await site.open('/console/configuration', { as: 'paid' });
    await page.route('**/usage?*', (route) => route.abort());
    await page.getByRole('link', { name: 'Usage' }).click();
    await page.getByRole('alert').getByText('The gateway cannot be reached.').waitFor();
    await page.unroute('**/usage?*');
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByRole('rowheader', { name: 'Total' }).waitFor();
  });
}

/** Name, free and paid messages of each row of the table. */
async function rowsOf(page: Page): Promise<(string | number)[][]> {
  const rows = await page.locator('tbody tr, tfoot tr').all();
  const cells = await Promise.all(rows.map((row) => row.locator('th, td').allTextContents()));
  return cells.map(([name = '', free, paid]) => [name, Number(free), Number(paid)]);
}
