import { afterAll, afterEach, beforeAll, describe } from '@jest/globals';
import { testAccounts } from './pages/accounts.js';
import { testAppearance } from './pages/appearance.js';
import { testDelivery } from './pages/delivery.js';
import { testLogin } from './pages/login.js';
import { testMessages } from './pages/messages.js';
import { testOverview } from './pages/overview.js';
import { testProviders } from './pages/providers.js';
import { testSend } from './pages/send.js';
import { testUsage } from './pages/usage.js';
import type { Context } from './support/context.js';
import { Site } from './support/site.js';

let site: Site | undefined;
/** Set by tests in which the API answers with an error, which browsers write to the console. */
let expectsRefusals = false;

beforeAll(async () => {
  site = await Site.start(process.env['CHROME_PATH'] ?? '');
});
afterAll(() => site?.stop());

const context = (): Context => {
  if (site === undefined) throw new Error('the site has not started');
  return { site, expectRefusals: () => (expectsRefusals = true) };
};

afterEach(async () => {
  const complaints = await site?.closeVisits({ expectsRefusals });
  expectsRefusals = false;
  // No error on the console, no violation of the Content-Security-Policy, no request to another origin.
  if (complaints !== undefined && complaints.length > 0)
    throw new Error(`the browser complained:\n${complaints.join('\n')}`);
});

// The first page needs the quota that no message has used yet.
describe('the console, page Send', () => {
  testSend(context);
});
describe('the console, page Overview', () => {
  testOverview(context);
});
describe('the console, page Messages', () => {
  testMessages(context);
});
describe('the console, page Usage', () => {
  testUsage(context);
});
describe('the console, page Providers', () => {
  testProviders(context);
});
describe('the console, page Accounts', () => {
  testAccounts(context);
});
describe('the console, login', () => {
  testLogin(context);
});
describe('the console, appearance', () => {
  testAppearance(context);
});
describe('the console, delivery of its files', () => {
  testDelivery(context);
});
