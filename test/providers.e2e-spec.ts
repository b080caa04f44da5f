import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { QuotaReport } from '#contracts';
import type { OutgoingMessage } from '../apps/gateway/src/providers/provider-client.js';
import { explainRequest } from '../tools/providers/explain-request.js';
import { inspectFile } from '../tools/providers/inspect-file.js';
import { call, login, type MessageAnswer, postMessage } from './support/client.js';
import { type Stack, startStack } from './support/stack.js';
import { channelOf, joinReadyFiles, readyFileOf, readyStandIns, standInEnv } from './support/stand-ins/ready-files.js';
import {
  type StandIn,
  type StandInError,
  type StandInServer,
  startStandIns,
} from './support/stand-ins/stand-in-server.js';

/** A block this long cannot end while a test looks at it. */
const LONG_WAIT_MS = 5_000;
/** Between the refusal and the look at the block, on a busy machine. */
const SLACK_MS = 3_000;

let dir: string;
let standInServer: StandInServer;
let stack: Stack;
let gateway: string;
let cookie: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'octo-ready-'));
  standInServer = await startStandIns();
  const file = join(dir, 'providers.yaml');
  writeFileSync(file, joinReadyFiles(standInServer));
  stack = await startStack({
    apps: ['auth', 'gateway'],
    env: { ...standInEnv, PROVIDERS_FILE: file, QUOTA_WHEN_FORGOTTEN: 'fresh' },
  });
  gateway = stack.origin.gateway;
  cookie = await login(gateway);
});
afterAll(async () => {
  await stack.stop();
  await standInServer.stop();
  rmSync(dir, { recursive: true });
});

describe('npm run providers', () => {
  const [standIn] = readyStandIns;
  if (standIn === undefined) throw new Error('there are no ready files');
  const path = readyFileOf(standIn);

  it('checks a file', () => {
    const { status, stdout, stderr } = providers([path]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('no variable is missing');
  });

  it('explains the requests of a message', () => {
    const message = join(dir, `${standIn.name}.json`);
    writeFileSync(message, JSON.stringify(messageOf(standIn, 'hello')));
    const { status, stdout } = providers([path, '--explain', message]);
    expect(status).toBe(0);
    expect(stdout).toContain(standIn.origin);
  });
});

describe.each(readyStandIns.map((standIn) => [readyFileOf(standIn), standIn] as const))('%s', (path, standIn) => {
  it('is valid, and has all its variables', () => {
    const { problems, missing } = inspectFile(path, standInEnv);
    expect({ problems, missing }).toEqual({ problems: [], missing: [] });
  });

  it('explains its requests with every secret masked', async () => {
    const { masked } = inspectFile(path, standInEnv);
    const texts: string[] = [];
    for (const provider of masked?.providers ?? [])
      texts.push((await explainRequest(provider, outgoingOf(standIn))).text);
    const text = texts.join('\n');
    expect(text).toContain(standIn.origin);
    expect(text).toContain('***');
    const secrets = Object.values(standIn.env);
    for (const form of secrets.flatMap((secret) => [secret, encodeURIComponent(secret), btoa(secret).slice(0, -4)])) {
      expect(text).not.toContain(form);
    }
  });

  it('delivers free while the quota lasts, then paid', async () => {
    const answers: MessageAnswer[] = [];
    for (let count = 0; count < 4; count += 1) answers.push(await send(standIn));
    expect(answers.map(({ body }) => attemptsOf(body))).toEqual([
      ...Array.from({ length: 3 }, () => ['free delivered']),
      ['paid delivered'],
    ]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect(answers[0]?.body).toMatchObject({ response: standIn.response, costMicros: 0 });
    if (standIn.costMicros !== undefined) expect(answers[3]?.body.costMicros).toBe(standIn.costMicros);
    expect(standInServer.unexpected).toEqual([]);
  });

  it.each(Object.entries(standIn.errors))('takes the answer %s as documented', async (error, expected) => {
    const { status, body } = await send(standIn, error);
    const first = `free ${outcomeSeen(expected)}`;
    if (expected.outcome === 'rejected' && standIn.onRejected === undefined) {
      expect({ status, code: body.code, attempts: attemptsOf(body) }).toEqual({
        status: 422,
        code: 'message_rejected',
        attempts: [first],
      });
      expect(body.detail).toContain(expected.detail);
      return;
    }
    expect({ status, attempts: attemptsOf(body) }).toEqual({ status: 200, attempts: [first, 'paid delivered'] });
    expect(body.attempts?.[0]).toMatchObject({ httpStatus: expected.status });
    await expectAfterwards(standIn, error, expected);
  });
});

/** A dead key pauses the account, and a refusal blocks it for as long as it says; the other outcomes change nothing. */
async function expectAfterwards(standIn: StandIn, error: string, { outcome, waitMs = 0 }: StandInError): Promise<void> {
  const isBlocked = outcome === 'refused' && (waitMs === 0 || waitMs >= LONG_WAIT_MS);
  if (outcome !== 'unauthorized' && !isBlocked) return;
  const askedAtMs = Date.now();
  const { body } = await send(standIn, error);
  expect(attemptsOf(body)).toEqual(['paid delivered']);
  if (waitMs === 0) return;
  const reopensInMs = Date.parse((await freeQuotaOf(standIn, error))?.reopensAt ?? '') - askedAtMs;
  expect(reopensInMs).toBeGreaterThan(waitMs - SLACK_MS);
  expect(reopensInMs).toBeLessThan(waitMs * 1.01 + SLACK_MS);
}

/** Octo's `attempts` name five outcomes. */
function outcomeSeen({ outcome }: StandInError): string {
  return outcome === 'unauthorized' ? 'failed' : outcome;
}

function messageOf({ message, trigger }: StandIn, addition: string): object {
  return { ...message, [trigger]: `${String(message[trigger])}${addition}` };
}

async function send(standIn: StandIn, error?: string): Promise<MessageAnswer> {
  const message = messageOf(standIn, error === undefined ? 'hello' : `stand-in:${error}`);
  return postMessage(gateway, cookie, { channel: channelOf(standIn, error), message });
}

function outgoingOf(standIn: StandIn): OutgoingMessage {
  const [id, traceparent] = ['00000000-0000-7000-8000-000000000000', ''];
  return { id, channel: standIn.name, content: messageOf(standIn, 'hello'), requestId: id, traceparent };
}

/** Each attempt in order; the names of paid providers end with `carrier` or `paid`. */
function attemptsOf({ attempts = [] }: MessageAnswer['body']): string[] {
  return attempts.map(({ provider, outcome }) => `${/-(carrier|paid)$/.test(provider) ? 'paid' : 'free'} ${outcome}`);
}

async function freeQuotaOf(standIn: StandIn, error: string): Promise<QuotaReport['providers'][number] | undefined> {
  const { body } = await call<QuotaReport>(`${gateway}/quota`, { headers: { cookie } });
  return body.providers.find(
    ({ name, priceMicros }) => name.startsWith(channelOf(standIn, error)) && priceMicros === 0,
  );
}

/** `npm run providers -- …` */
function providers(args: string[]): { status: number | null; stdout: string; stderr: string } {
  const env = { ...standInEnv, PATH: process.env['PATH'] };
  return spawnSync(process.execPath, ['dist/tools/providers.js', ...args], { encoding: 'utf8', env });
}
