import { afterEach, describe, expect, it } from '@jest/globals';
import { inParallel, login, type MessageAnswer, postMessage, setFaults, statsOf } from './support/client.js';
import { type Stack, startStack } from './support/stack.js';
import { waitUntil } from '../tools/stack/wait-until.js';

const FREE_LIMIT = 20;
const FREE_BLOCK_MS = 3_000;

let stack: Stack | undefined;
afterEach(() => stack?.stop());

async function startPods(pods: number): Promise<{ started: Stack; cookie: string }> {
  const env = { FREE_LIMIT: String(FREE_LIMIT), FREE_BLOCK_MS: String(FREE_BLOCK_MS) };
  stack = await startStack({ pods, env });
  return { started: stack, cookie: await login(stack.origin.gateway, 'paid@octo.local') };
}

/** 400 messages, 50 at once, over all pods; like a load balancer it skips a pod that does not accept connections. */
function flood(started: Stack, cookie: string, onSent: (sent: number) => void = () => {}): Promise<MessageAnswer[]> {
  let sent = 0;
  return inParallel(400, 50, async (index) => {
    sent += 1;
    onSent(sent);
    return sendToAny(started, cookie, index);
  });
}

async function sendToAny(started: Stack, cookie: string, index: number): Promise<MessageAnswer> {
  for (let offset = 0; ; offset += 1) {
    const pod = started.gateways[(index + offset) % started.gateways.length] ?? '';
    try {
      return await postMessage(pod, cookie, { message: `message ${index}` });
    } catch (error) {
      if (offset >= started.gateways.length) throw error;
    }
  }
}

const windowsOf = async (started: Stack) => (await statsOf(started.origin.free)).windows;

const providersOf = (answers: MessageAnswer[]) => {
  const counts: Record<string, number> = {};
  for (const { body } of answers) counts[body.provider ?? 'none'] = (counts[body.provider ?? 'none'] ?? 0) + 1;
  return counts;
};

describe('three pods', () => {
  it('together use exactly the free quota of every window, without a refusal', async () => {
    const { started, cookie } = await startPods(3);
    const answers = await flood(started, cookie);
    await waitUntil(async () => (await windowsOf(started)).at(-1)?.reopensAt != null, {
      what: 'the quota of a window is used up',
    });
    const reopensAtMs = Date.parse((await windowsOf(started)).at(-1)?.reopensAt ?? '');
    // 100 ms: more than the guard against clock drift.
    await waitUntil(() => Date.now() > reopensAtMs + 100, { what: 'the block ends' });
    answers.push(...(await flood(started, cookie)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    const { accepted, refused } = await statsOf(started.origin.free);
    expect(refused).toBe(0);
    expect(providersOf(answers)).toEqual({ free: accepted, paid: 800 - accepted });
    const spent = (await windowsOf(started)).filter(({ blockedAt }) => blockedAt !== null);
    expect(spent.length).toBeGreaterThanOrEqual(2);
    expect(new Set(spent.map((window) => window.accepted))).toEqual(new Set([FREE_LIMIT]));
  });

  it('get no refusal when one of them is killed under load', async () => {
    const { started, cookie } = await startPods(3);
    const answers = await flood(started, cookie, (sent) => {
      if (sent === 200) started.process('gateway-2').kill('SIGKILL');
    });
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    const { windows, refused } = await statsOf(started.origin.free);
    expect({ refused, accepted: windows[0]?.accepted }).toEqual({ refused: 0, accepted: FREE_LIMIT });
    await waitUntil(() => started.log.some(({ event }) => event === 'process ended, restarting'), {
      what: 'the launcher logs the dead pod',
    });
    await waitUntil(() => isReady(started.gateways[1]), { what: 'the pod is back' });
  });
});

describe('a stopping pod', () => {
  it('answers its messages in flight before it ends', async () => {
    const { started, cookie } = await startPods(1);
    await setFaults(started.origin.free, { latencyMs: 700 });
    // The pod learns that the provider is slow; otherwise it might take it for one that hangs.
    await postMessage(started.origin.gateway, cookie);
    const rest = FREE_LIMIT - 1;
    const sent = inParallel(rest, rest, () => postMessage(started.origin.gateway, cookie));
    const accepted = async () => (await statsOf(started.origin.free)).accepted;
    await waitUntil(async () => (await accepted()) === FREE_LIMIT, { what: 'all messages are with the provider' });
    await started.process('gateway-1').stop();
    expect(providersOf(await sent)).toEqual({ free: rest });
  });
});

async function isReady(origin = ''): Promise<boolean> {
  try {
    return (await fetch(`${origin}/health/ready`)).ok;
  } catch {
    return false;
  }
}
