import { and, eq, lt } from 'drizzle-orm';
import { accounts, type Database } from '#database';
import { stepOfCode } from './totp-codes.js';

/**
 * Uses up a code: each works once.
 * @returns whether it is valid and was not used before
 */
export async function useTotpCode(
  db: Database,
  { id, secret, code }: { id: string; secret: string; code: string },
): Promise<boolean> {
  const step = stepOfCode(secret, code);
  if (step === undefined) return false;
  const isUnused = and(eq(accounts.id, id), eq(accounts.totpSecret, secret), lt(accounts.totpLastStep, step));
  const used = await db.update(accounts).set({ totpLastStep: step }).where(isUnused).returning({ id: accounts.id });
  return used.length > 0;
}
