import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { quotaOf, untilFreeIsOpen } from '../apps/gateway/test/quota-of.js';
import { waitUntil } from '../tools/stack/wait-until.js';
import { hasPrometheus, PrometheusServer } from '../verification/engines/prometheus-server.js';
import { call, login, type MessageAnswer, postMessage } from './support/client.js';
import { type Series, seriesOf, typesOf } from './support/exposition.js';
import { type Stack, startStack } from './support/stack.js';

const DIR = 'deploy/observability';
const PAID_MICROS = 2_500;

let stack: Stack;
let gateway: string;
let paid: string;
let free: string;
/** Of the messages so far. */
const answered = { free: 0, paid: 0, paidMicros: 0, denied: 0, refused: 0 };

beforeAll(async () => {
  const env = {
    FREE_LIMIT: '5',
    FREE_BLOCK_MS: '2000',
    // Shorter than the 2 s after which a pod drops a connection to Redis that does not answer.
    QUOTA_BUDGET_MS: '1000',
    BUDGET_DAY_MICROS: '1000000000',
    BUDGET_UNCOUNTED_MICROS: '1000000000',
  };
  stack = await startStack({ env });
  gateway = stack.origin.gateway;
  [paid, free] = await Promise.all([login(gateway, 'paid@octo.local'), login(gateway, 'free@octo.local')]);
});
afterAll(() => stack.stop());

async function send(cookie: string, body: unknown = { message: 'hello' }): Promise<MessageAnswer> {
  const answer = await postMessage(gateway, cookie, body);
  const { provider, costMicros = 0 } = answer.body;
  if (provider === 'free') answered.free += 1;
  if (provider === 'paid') answered.paid += 1;
  answered.paidMicros += costMicros;
  if (answer.status === 403) answered.denied += 1;
  if (answer.status === 503) answered.refused += 1;
  return answer;
}

async function scrape(origin = gateway): Promise<string> {
  const { status, body } = await call<string>(`${origin}/metrics`);
  expect(status).toBe(200);
  return body;
}

/** The sum of the gateway's series with these labels. */
async function metric(name: string, labels: Record<string, string> = {}): Promise<number> {
  const isMeant = (series: Series): boolean =>
    series.name === name && Object.entries(labels).every(([label, value]) => series.labels[label] === value);
  return seriesOf(await scrape())
    .filter(isMeant)
    .reduce((sum, { value }) => sum + value, 0);
}

const outcome = (name: string): Promise<number> => metric('octo_messages_total', { outcome: name });

describe('the metrics of a gateway', () => {
  it('count messages by outcome, and the money that was spent and saved', async () => {
    await waitUntil(async () => (await send(paid)).body.provider === 'paid', { what: 'free quota is used up' });
    await waitUntil(async () => (await send(free)).status === 403, { what: 'a message is denied' });
    await send(paid);
    const sent = answered.free + answered.paid + answered.denied;
    expect(await metric('octo_messages_received_total', { channel: 'default' })).toBe(sent);
    expect(await outcome('delivered_free')).toBe(answered.free);
    expect(await outcome('delivered_paid')).toBe(answered.paid);
    expect(await outcome('denied')).toBe(answered.denied);
    expect(await metric('octo_spent_micros_total', { currency: 'USD', provider: 'paid' })).toBe(answered.paidMicros);
    expect(await metric('octo_saved_micros_total', { currency: 'USD' })).toBe(answered.free * PAID_MICROS);
  });

  it('count a message that waited and was cancelled', async () => {
    const cancelOne = async (): Promise<boolean> => {
      const deliverBy = new Date(Date.now() + 3_600_000).toISOString();
      const { status, body } = await send(paid, { message: 'patient', deliverBy });
      if (status !== 202) return false;
      const init = { method: 'DELETE', headers: { cookie: paid } };
      if ((await call(`${gateway}/messages/${body.id}`, init)).status === 204) return true;
      answered.free += 1;
      return false;
    };
    await waitUntil(cancelOne, { what: 'a waiting message is cancelled' });
    expect(await outcome('cancelled')).toBe(1);
  });

  it('have a time for each delivery, of which the provider and the rest are parts', async () => {
    const total = await metric('octo_message_duration_seconds_sum');
    const rest = await metric('octo_message_overhead_seconds_sum');
    expect(rest).toBeGreaterThan(0);
    expect(rest).toBeLessThan(total);
    const count = await metric('octo_message_duration_seconds_count');
    expect(await metric('octo_message_overhead_seconds_count')).toBe(count);
    expect(await metric('octo_provider_duration_seconds_count', { provider: 'paid' })).toBe(answered.paid);
    expect(await metric('octo_journal_batch_rows_sum')).toBeGreaterThanOrEqual(count);
  });

  it('show the quota as Redis counts it, and measure how soon it is used when it has reopened', async () => {
    const labels = { account: 'free', quota: 'count-then-block', unit: 'requests' };
    await waitUntil(
      async () => {
        await send(paid);
        return (await metric('octo_account_state', { account: 'free', state: 'blocked' })) === 1;
      },
      { what: 'the metrics show that the quota is blocked' },
    );
    await untilFreeIsOpen(gateway, paid);
    await send(paid);
    const { limit, used, remaining } = await quotaOf(gateway, paid);
    const isShown = async (): Promise<boolean> =>
      (await metric('octo_quota_used', labels)) === used &&
      (await metric('octo_quota_remaining', labels)) === remaining;
    await waitUntil(isShown, { what: 'the metrics show the same as GET /quota' });
    expect(await metric('octo_quota_limit', labels)).toBe(limit);
    const before = await metric('octo_quota_reopening_lag_seconds_count', { account: 'free' });
    await waitUntil(
      async () => {
        await send(paid);
        return (await metric('octo_quota_reopening_lag_seconds_count', { account: 'free' })) > before;
      },
      { what: 'the lag of a reopening is measured' },
    );
  });

  it('are all described in docs/metrics.md, with type and labels', async () => {
    const texts = await Promise.all(Object.values(stack.origin).map(scrape));
    const exposed = new Map(texts.flatMap((text) => [...typesOf(text)]).filter(([name]) => name.startsWith('octo_')));
    const rows = [...readFileSync('docs/metrics.md', 'utf8').matchAll(/^\| `(octo_\w+)` +\| (\w+) +\| ([^|]*) \|/gm)];
    const described = new Map(rows.map(([, name = '', type = '']) => [name, type]));
    expect(Object.fromEntries(described)).toEqual(Object.fromEntries(exposed));
    const labelsOf = new Map(rows.map(([, name = '', , text = '']) => [name, labelNames(text)]));
    const series = texts.flatMap(seriesOf).filter(({ name }) => name.startsWith('octo_'));
    const wrong = series.filter(({ name, labels }) => {
      const family = described.has(name) ? name : name.replace(/_(bucket|sum|count)$/, '');
      const names = Object.keys(labels).filter((label) => label !== 'le');
      return names.toSorted().join() !== labelsOf.get(family)?.toSorted().join();
    });
    expect(wrong).toEqual([]);
  });
});

function labelNames(text: string): string[] {
  return [...text.matchAll(/`(\w+)`/g)].map(([, name = '']) => name);
}

it('SIGUSR2 makes a running process write a debug line for each send, and no longer', async () => {
  const log = (event: string) => stack.log.filter((line) => line.app === 'gateway' && line.event === event);
  const pod = stack.process('gateway-1');
  pod.kill('SIGUSR2');
  await waitUntil(() => log('log level changed').length === 1, { what: 'the level is debug' });
  await send(paid);
  await waitUntil(() => log('sent').length > 0, { what: 'a debug line' });
  pod.kill('SIGUSR2');
  await waitUntil(() => log('log level changed').length === 2, { what: 'the level is as before' });
  expect(log('log level changed').map(({ logLevel }) => logLevel)).toEqual(['debug', 'info']);
});

if (hasPrometheus()) {
  describe('promtool', () => {
    it.each(['gateway', 'auth', 'free', 'paid'] as const)(
      'finds nothing to complain of in the metrics of %s',
      async (app) => {
        const input = await scrape(stack.origin[app]);
        expect(promtool(['check', 'metrics'], input)).toEqual({ status: 0, stderr: '', stdout: '' });
      },
    );

    it('accepts the configuration and its alert rules', () => {
      expect(promtool(['check', 'config', `${DIR}/prometheus.yml`])).toMatchObject({ status: 0, stderr: '' });
      expect(promtool(['check', 'rules', `${DIR}/alerts.yml`])).toMatchObject({ status: 0, stderr: '' });
    });

    it('sees each alert fire when it should, and not before', () => {
      expect(promtool(['test', 'rules', `${DIR}/alerts.test.yml`])).toMatchObject({ status: 0 });
      const tested = readFileSync(`${DIR}/alerts.test.yml`, 'utf8');
      const firing = [...tested.matchAll(/labels: ALERTS\{alertname="(\w+)",alertstate="firing"/g)];
      const names = new Set(firing.map(([, name]) => name));
      expect(alerts().filter(({ alert }) => !names.has(alert))).toEqual([]);
    });
  });

  describe('Prometheus', () => {
    let prometheus: PrometheusServer;
    beforeAll(async () => {
      prometheus = await PrometheusServer.start(configFor(stack));
    });
    afterAll(() => prometheus.stop());

    it('gets data for every query of the dashboard and every metric of the alerts', async () => {
      const queries = [...dashboardQueries(), ...alerts().flatMap(({ expr }) => selectorsOf(expr))];
      expect(queries.length).toBeGreaterThan(30);
      const unanswered = new Set(queries);
      const ask = async (query: string): Promise<void> => {
        const samples = await prometheus.query(query);
        if (samples.some(({ value }) => Number.isFinite(value))) unanswered.delete(query);
      };
      const isDone = async (): Promise<boolean> => {
        await send(paid);
        await Promise.all([...unanswered].map(ask));
        return unanswered.size === 0;
      };
      await waitUntil(isDone, { what: 'data', everyMs: 100 }).catch((error: unknown) => {
        throw new Error(`no data for:\n${[...unanswered].join('\n')}`, { cause: error });
      });
    });

    it('evaluates every alert rule without an error', async () => {
      const health = await prometheus.ruleHealth();
      expect(health).toEqual(Object.fromEntries(alerts().map(({ alert }) => [alert, 'ok'])));
    });
  });
}

describe('while Redis does not answer', () => {
  it('a scrape still succeeds, and says that quotas are unknown', async () => {
    await untilFreeIsOpen(gateway, paid);
    process.kill(stack.redisPid, 'SIGSTOP');
    try {
      const before = await metric('octo_avoidable_paid_messages_total');
      // The free quota was open; this pod gets no permit in time.
      expect((await send(paid)).body.provider).toBe('paid');
      expect(await metric('octo_avoidable_paid_messages_total')).toBe(before + 1);
      await waitUntil(async () => (await metric('octo_account_state', { account: 'free', state: 'unknown' })) === 1, {
        what: 'the quota is unknown',
      });
      await waitUntil(async () => (await metric('octo_store_up', { store: 'redis' })) === 0, { what: 'Redis is down' });
      expect(seriesOf(await scrape()).filter(({ name }) => name === 'octo_quota_used')).toEqual([]);
    } finally {
      process.kill(stack.redisPid, 'SIGCONT');
    }
    await waitUntil(async () => (await metric('octo_store_up', { store: 'redis' })) === 1, { what: 'Redis is back' });
  });
});

function promtool(args: string[], input = '') {
  const { status, stdout, stderr } = spawnSync('promtool', args, { input, encoding: 'utf8' });
  return { status, stdout, stderr };
}

function alerts(): { alert: string; expr: string }[] {
  const { groups } = parse(readFileSync(`${DIR}/alerts.yml`, 'utf8')) as {
    groups: { rules: { alert: string; expr: string }[] }[];
  };
  return groups.flatMap(({ rules }) => rules);
}

/** An alert that does not fire returns nothing. What it is made of must be there. */
function selectorsOf(expr: string): string[] {
  return [...expr.matchAll(/\b(?:octo_\w+|up)\b(?:\{[^}]*\})?/g)].map(([selector]) => selector);
}

function dashboardQueries(): string[] {
  const { panels } = JSON.parse(readFileSync(`${DIR}/grafana/octo.json`, 'utf8')) as {
    panels: { targets?: { expr: string }[] }[];
  };
  const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  return queries.map((expr) => expr.replaceAll('$__rate_interval', '1m').replaceAll('$__range', '5m'));
}

/** The configuration of `docker compose`, at the addresses of this stack and much faster. */
function configFor({ origin }: Stack): object {
  const file = parse(readFileSync(`${DIR}/prometheus.yml`, 'utf8')) as { scrape_configs: { job_name: string }[] };
  const origins = { ...origin, 'free-provider': origin.free, 'paid-provider': origin.paid };
  return {
    ...file,
    global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
    rule_files: [resolve(DIR, 'alerts.yml')],
    scrape_configs: file.scrape_configs.map(({ job_name: name }) => ({
      job_name: name,
      static_configs: [{ targets: [new URL(origins[name as keyof typeof origins]).host] }],
    })),
  };
}
