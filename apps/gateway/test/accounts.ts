import type { AccountPatch, ManagedAccount } from '#contracts';
import { call } from '../../../test/support/client.js';

export async function accountOf(gateway: string, admin: string, email: string): Promise<ManagedAccount> {
  const { body } = await call<{ items: ManagedAccount[] }>(`${gateway}/auth/users`, { headers: { cookie: admin } });
  const account = body.items.find((item) => item.email === email);
  if (account === undefined) throw new Error(`GET /auth/users lists no account "${email}"`);
  return account;
}

/** As an admin. */
export async function patchAccount(
  gateway: string,
  admin: string,
  { email, patch }: { email: string; patch: Partial<AccountPatch> | object },
): Promise<ManagedAccount> {
  const { id } = await accountOf(gateway, admin, email);
  const { status, body } = await call<ManagedAccount>(`${gateway}/auth/users/${id}`, {
    method: 'PATCH',
    headers: { cookie: admin, 'content-type': 'application/json' },
    body: JSON.stringify(patch),
  });
  if (status !== 200) throw new Error(`PATCH /auth/users answered ${status}: ${JSON.stringify(body)}`);
  return body;
}
