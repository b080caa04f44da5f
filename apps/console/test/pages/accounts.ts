import { expect, it } from '@jest/globals';
import { randomName } from '../../../../test/support/stack.js';
import type { ContextOf } from '../support/context.js';

export function testAccounts(context: ContextOf): void {
  it('grants paid access, and disables an account after a question', async () => {
    const { site } = context();
    const email = `${randomName('new')}@octo.local`;
    const registered = await fetch(`${site.origin}/auth/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email, password: 'correct horse battery' }),
    });
    expect(registered.status).toBe(201);
    const page = await site.open('/console/accounts', { as: 'admin' });
    const paid = page.getByRole('switch', { name: `Paid access of ${email}` });
    await paid.click();
    await page.getByRole('switch', { name: `Paid access of ${email}`, checked: true }).waitFor();
    await page.getByRole('switch', { name: `${email} may log in` }).click();
    await page.getByRole('dialog', { name: 'Disable this account?' }).waitFor();
    await page.getByRole('button', { name: 'Disable', exact: true }).click();
    await page.getByRole('switch', { name: `${email} may log in`, checked: false }).waitFor();
  });

  it('limits what an account may spend and use', async () => {
    const { site } = context();
    const page = await site.open('/console/accounts', { as: 'admin' });
    const open = page.getByRole('button', { name: 'Limits of free@octo.local' });
    await open.click();
    const dialog = page.getByRole('dialog', { name: 'Limits of free@octo.local' });
    await dialog.getByLabel('May spend in a day').fill('0.3075');
    await dialog.getByLabel('Free quota').selectOption('number');
    await dialog.getByLabel('Requests in each window').fill('7');
    await dialog.getByLabel('Turns of waiting messages').selectOption('bulk');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await open.getByText('Change').waitFor();
    await open.click();
    expect(await dialog.getByLabel('May spend in a day').inputValue()).toBe('0.3075');
    expect(await dialog.getByLabel('May spend in a month').inputValue()).toBe('');
    expect(await dialog.getByLabel('Requests in each window').inputValue()).toBe('7');
    expect(await dialog.getByLabel('Turns of waiting messages').inputValue()).toBe('bulk');
    await dialog.getByLabel('May spend in a day').fill('');
    await dialog.getByLabel('Free quota').selectOption('all');
    await dialog.getByLabel('Turns of waiting messages').selectOption('normal');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await open.getByText('Set').waitFor();
  });

  it('does not let an admin disable the own account', async () => {
    const page = await context().site.open('/console/accounts', { as: 'admin' });
    const own = page.getByRole('switch', { name: 'admin@octo.local may log in' });
    await own.waitFor();
    expect(await own.isDisabled()).toBe(true);
  });

  it('is not there for other users', async () => {
    const page = await context().site.open('/console/accounts', { as: 'paid' });
    await page.getByText('The console has no such page.').waitFor();
    expect(await page.getByRole('link', { name: 'Accounts' }).count()).toBe(0);
  });
}
