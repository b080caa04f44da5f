export const DEMO_PASSWORD = 'octo-demo-password';
export const DEMO_ACCOUNT = { email: 'paid@octo.local', password: DEMO_PASSWORD };

/** @returns the cookies of the demo account that may use paid providers */
export async function logIn(gateway: string): Promise<string> {
  const response = await fetch(`${gateway}/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(DEMO_ACCOUNT),
  });
  if (!response.ok) throw new Error(`login of ${DEMO_ACCOUNT.email} failed with status ${response.status}`);
  return response.headers
    .getSetCookie()
    .map((cookie) => cookie.split(';', 1)[0])
    .join('; ');
}
