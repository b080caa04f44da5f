import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { launchChromium } from '../../../../tools/browser/launch-chromium.js';
import { DEMO_PASSWORD } from '../../../../tools/stack/log-in.js';
import { type Stack, startStack } from '../../../../test/support/stack.js';

export const FREE_LIMIT = 10;
/** Long enough to look at a block, on a slow machine as well. */
const FREE_BLOCK_MS = 15_000;
const TIMEOUT_MS = 30_000;

export type AccountName = 'paid' | 'free' | 'admin';

export interface VisitOptions {
  /** Logged in as this demo account; undefined: not logged in. */
  as?: AccountName | undefined;
  theme?: 'light' | 'dark';
  width?: number;
  locale?: string;
}

/** Cookies and local storage. */
type SavedState = NonNullable<BrowserContextOptions['storageState']>;

/** A tab, and what a browser complains about while it is open. */
export interface Visit {
  page: Page;
  /** Errors on the console, violations of the policy, requests to other origins. */
  complaints: string[];
}

/** One stack and one browser for all tests of the console. */
export class Site {
  private readonly states = new Map<AccountName, SavedState>();
  private readonly visits: Visit[] = [];

  private constructor(
    readonly stack: Stack,
    private readonly browser: Browser,
    private readonly refusing: Server,
  ) {}

  static async start(chromePath: string): Promise<Site> {
    const refusing = await startRefusing();
    const env = {
      REFUSING_URL: `http://127.0.0.1:${(refusing.address() as AddressInfo).port}/`,
      PROVIDERS_FILE: 'apps/console/test/providers.yaml',
      FREE_LIMIT: String(FREE_LIMIT),
      FREE_BLOCK_MS: String(FREE_BLOCK_MS),
    };
    const [stack, browser] = await Promise.all([startStack({ pods: 2, env }), launchChromium(chromePath)]);
    return new Site(stack, browser, refusing);
  }

  /** `localhost`: browsers keep cookies with `Secure` only there, or over TLS. */
  get origin(): string {
    return this.stack.origin.gateway.replace('127.0.0.1', 'localhost');
  }

  async open(path: string, options: VisitOptions = {}): Promise<Page> {
    const { as, theme = 'light', width = 1280, locale = 'en-US' } = options;
    const context = await this.browser.newContext({
      viewport: { width, height: 900 },
      colorScheme: theme,
      locale,
      reducedMotion: 'reduce',
      ...(as && { storageState: await this.stateOf(as) }),
    });
    context.setDefaultTimeout(TIMEOUT_MS);
    const page = await context.newPage();
    this.visits.push({ page, complaints: complaintsOf(page, this.origin) });
    await page.goto(this.origin + path);
    return page;
  }

  /** Closes all tabs. @returns what the browser complained about; answers with an error status are expected by some tests */
  async closeVisits({ expectsRefusals }: { expectsRefusals: boolean }): Promise<string[]> {
    const visits = this.visits.splice(0);
    await Promise.all(visits.map(({ page }) => page.context().close()));
    const complaints = visits.flatMap((visit) => visit.complaints);
    return expectsRefusals ? complaints.filter((text) => !text.includes('Failed to load resource')) : complaints;
  }

  async stop(): Promise<void> {
    await this.browser.close();
    await this.stack.stop();
    this.refusing.close();
    this.refusing.closeAllConnections();
  }

  /** Cookies and local storage of a login: one login for all tests of an account. */
  private async stateOf(name: AccountName): Promise<SavedState> {
    const known = this.states.get(name);
    if (known !== undefined) return known;
    const page = await this.open('/console');
    await logIn(page, name);
    const state = await page.context().storageState();
    this.states.set(name, state);
    return state;
  }
}

export async function logIn(page: Page, name: AccountName): Promise<void> {
  await page.getByLabel('E-mail address').fill(`${name}@octo.local`);
  await page.getByLabel('Password').fill(DEMO_PASSWORD);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
}

/** A provider that refuses every message for two minutes. */
async function startRefusing(): Promise<Server> {
  const server = createServer((_request, response) => response.writeHead(429, { 'retry-after': '120' }).end('{}'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function complaintsOf(page: Page, origin: string): string[] {
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('request', (request) => {
    if (!request.url().startsWith(`${origin}/`)) complaints.push(`request to ${request.url()}`);
  });
  return complaints;
}
