import { expect, it } from '@jest/globals';
import { waitUntil } from '../../../../tools/stack/wait-until.js';
import type { ContextOf } from '../support/context.js';

export function testProviders(context: ContextOf): void {
  it('drains a provider, disables it after a question, and enables it again', async () => {
    const page = await context().site.open('/console/providers', { as: 'admin' });
    const state = page.getByLabel('State of refusing', { exact: true });
    const becomes = (value: string): Promise<void> =>
      waitUntil(async () => (await state.inputValue()) === value, { what: `the provider is ${value}` });
    await state.selectOption('drained');
    await becomes('drained');
    await state.selectOption('disabled');
    const question = page.getByRole('dialog', { name: 'Disable this provider?' });
    await question.getByRole('button', { name: 'Go back' }).click();
    expect(await state.inputValue()).toBe('drained');
    await state.selectOption('disabled');
    await question.getByRole('button', { name: 'Disable', exact: true }).click();
    await becomes('disabled');
    await state.selectOption('enabled');
    await becomes('enabled');
  });

  it('is not there for other users', async () => {
    const page = await context().site.open('/console/providers', { as: 'paid' });
    await page.getByText('The console has no such page.').waitFor();
    expect(await page.getByRole('link', { name: 'Providers' }).count()).toBe(0);
  });
}
