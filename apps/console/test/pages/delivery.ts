import { expect, it } from '@jest/globals';
import type { ContextOf } from '../support/context.js';

const FIRST_LOAD_MAX_BYTES = 170_000;

export function testDelivery(context: ContextOf): void {
  it('loads at most 170 kB before the login', async () => {
    const { site } = context();
    const page = await site.open('/console');
    await page.getByRole('button', { name: 'Log in' }).waitFor();
    const bytes = await page.evaluate(
      `[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
         .reduce((sum, { transferSize }) => sum + transferSize, 0)`,
    );
    expect(bytes).toBeGreaterThan(10_000);
    expect(bytes).toBeLessThan(FIRST_LOAD_MAX_BYTES);
  });

  it('lets browsers keep files for good whose name changes with their content, and not the page', async () => {
    const { origin } = context().site;
    const page = await fetch(`${origin}/console`);
    const html = await page.text();
    expect(page.headers.get('cache-control')).toBe('no-cache');
    const paths = [...html.matchAll(/(?:src|href)="(\/console\/assets\/[^"]+)"/g)].map((match) => match[1] ?? '');
    expect(paths.length).toBeGreaterThanOrEqual(3);
    for (const path of paths) {
      const { headers, status } = await fetch(origin + path);
      expect(status).toBe(200);
      expect(headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    }
  });

  it('forbids inline scripts and styles, frames and other origins', async () => {
    const { headers } = await fetch(`${context().site.origin}/console/messages`);
    const policy = headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toMatch(/unsafe|\*|https?:/);
  });

  it('answers the page for each of its paths, and 404 for a file that is not there', async () => {
    const { origin } = context().site;
    const page = await fetch(`${origin}/console/messages/some-id`);
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    const file = await fetch(`${origin}/console/assets/none.js`);
    expect([file.status, file.headers.get('content-type')]).toEqual([404, 'application/problem+json; charset=utf-8']);
    const posted = await fetch(`${origin}/console`, { method: 'POST' });
    expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });
}
