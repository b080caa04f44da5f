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
