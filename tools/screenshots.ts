// `npm run screenshots [-- --out DIR]`: starts a stack of its own, uses the console as a newcomer would, and saves an
// image of every page to docs/images: light and dark, wide and narrow.
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { findChromium, NO_BROWSER } from './browser/find-chromium.js';
import { launchChromium } from './browser/launch-chromium.js';
import { withPalette } from './browser/palette-png.js';
import { DEMO_PASSWORD } from './stack/log-in.js';
import { type Stack, startStack } from './stack/stack.js';

const SIZES = { wide: { width: 1280, height: 860 }, narrow: { width: 400, height: 860 } } as const;
const THEMES = ['light', 'dark'] as const;
const FREE_BLOCK_MS = 30_000;
/** A look begins when free quota is open again. */
const TIMEOUT_MS = 60_000;

const { values } = parseArgs({ options: { out: { type: 'string', default: 'docs/images' } } });
mkdirSync(values.out, { recursive: true });
const chromePath = findChromium(process.env);
if (chromePath === undefined) {
  console.error(NO_BROWSER);
  process.exit(1);
}
const dir = mkdtempSync(join(tmpdir(), 'octo-screenshots-'));
const stack = await startStack({
  env: {
    PATH: process.env['PATH'],
    NODE_ENV: 'test',
    FREE_BLOCK_MS: String(FREE_BLOCK_MS),
    JWT_PRIVATE_KEY_FILE: join(dir, 'jwt-key.pem'),
  },
  pods: 1,
  ports: { auth: 0, 'free-provider': 0, 'paid-provider': 0, gateway: 0 },
  onLine: () => undefined,
});
const browser = await launchChromium(chromePath);
try {
  await takeAll(browser, originOf(stack));
} finally {
  await browser.close();
  await stack.stop();
  rmSync(dir, { recursive: true, force: true });
}
process.exit(0);

function originOf({ origins }: Stack): string {
  // Browsers keep cookies with `Secure` on localhost, and not on 127.0.0.1.
  return (origins.gateways[0] ?? '').replace('127.0.0.1', 'localhost');
}

async function takeAll(chromium: Browser, origin: string): Promise<void> {
  const admin = await logInAs(chromium, origin, 'admin');
  const paid = await logInAs(chromium, origin, 'paid');
  for (const theme of THEMES) {
    for (const [size, viewport] of Object.entries(SIZES)) {
      const look = { colorScheme: theme, viewport, locale: 'en-GB', reducedMotion: 'reduce' as const };
      const save = (name: string) => async (page: Page) => {
        writeFileSync(`${values.out}/${name}-${theme}-${size}.png`, withPalette(await page.screenshot()));
      };
      await withPage(chromium, look, async (page) => {
        await page.goto(`${origin}/console`);
        await page.getByRole('button', { name: 'Log in' }).waitFor();
        await save('login')(page);
      });
      await withPage(chromium, { ...look, storageState: paid }, (page) => visitPages(page, origin, save));
      await withPage(chromium, { ...look, storageState: admin }, async (page) => {
        await page.goto(`${origin}/console/providers`);
        await page.getByRole('combobox').first().waitFor();
        await save('providers')(page);
        await page.goto(`${origin}/console/accounts`);
        await page.getByRole('switch').first().waitFor();
        await save('accounts')(page);
      });
    }
  }
}

type Save = (name: string) => (page: Page) => Promise<void>;

/** The way of a newcomer: 15 messages, then a look at each page. */
async function visitPages(page: Page, origin: string, save: Save): Promise<void> {
  await page.goto(`${origin}/console/send`);
  await page.getByRole('article', { name: 'free' }).getByText('open', { exact: true }).waitFor();
  await page.getByRole('textbox', { name: 'Message' }).fill('hello');
  await page.getByLabel('How many').fill('15');
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  await page.getByText('Delivered by').waitFor();
  await page.getByText('Free again in').waitFor();
  await save('send')(page);
  const open = async (name: string, text: string): Promise<void> => {
    await page.getByRole('link', { name, exact: true }).click();
    await page.getByText(text).first().waitFor();
    await save(name.toLowerCase())(page);
  };
  await open('Overview', 'requests used');
  await open('Messages', 'delivered paid');
  await page.locator('tbody a').first().click();
  await page.getByText('Delivered by').waitFor();
  await save('message')(page);
  await open('Usage', 'Days begin');
  await open('Configuration', 'A message is text.');
  const id = await sendTrace(page);
  await page.goto(`${origin}/console/messages/${id}`);
  await page.getByRole('link', { name: 'All messages of this trace' }).click();
  await page.getByText('3 messages').waitFor();
  await save('trace')(page);
}

/** Three messages of one trace, of which the last one may wait. @returns the id of the last one */
async function sendTrace(page: Page): Promise<string> {
  const traceparent = `00-${randomBytes(16).toString('hex')}-00f067aa0ba902b7-01`;
  const headers = { traceparent, 'content-type': 'application/json' };
  const deliverBy = new Date(Date.now() + 600_000).toISOString();
  const bodies = [{ message: 'Order 7 is packed' }, { message: 'Order 7 is sent' }, { message: 'Rate it', deliverBy }];
  let id = '';
  for (const body of bodies) {
    const call = { method: 'POST', headers, body: JSON.stringify(body) };
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    id = await page.evaluate(async (init) => {
      const answer = (await (await fetch('/messages', init)).json()) as { id: string };
      return answer.id;
    }, call);
  }
  return id;
}

async function logInAs(
  chromium: Browser,
  origin: string,
  name: string,
): Promise<NonNullable<BrowserContextOptions['storageState']>> {
  return withPage(chromium, { locale: 'en-GB' }, async (page) => {
    await page.goto(`${origin}/console`);
    await page.getByLabel('E-mail address').fill(`${name}@octo.local`);
    await page.getByLabel('Password').fill(DEMO_PASSWORD);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    return page.context().storageState();
  });
}

async function withPage<Result>(
  chromium: Browser,
  options: BrowserContextOptions,
  use: (page: Page) => Promise<Result>,
): Promise<Result> {
  const context = await chromium.newContext(options);
  context.setDefaultTimeout(TIMEOUT_MS);
  try {
    return await use(await context.newPage());
  } finally {
    await context.close();
  }
}
