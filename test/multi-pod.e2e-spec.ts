import { afterEach, describe, expect, it } from '@jest/globals';
import { inParallel, login, type MessageAnswer, postMessage, statsOf } from './support/client.js';
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

/** 400 messages, 50 at once, spread over the pods; a pod that is gone is left out, as a load balancer would. */
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

const providersOf = (answers: MessageAnswer[]) => {
  const counts: Record<string, number> = {};
  for (const { body } of answers) counts[body.provider ?? 'none'] = (counts[body.provider ?? 'none'] ?? 0) + 1;
  return counts;
};

describe('three pods', () => {
  it('use exactly the free quota of every window between them and run into no refusal', async () => {
    const { started, cookie } = await startPods(3);
    const first = await flood(started, cookie);
    expect(new Set(first.map(({ status }) => status))).toEqual(new Set([200]));
    expect(providersOf(first)).toEqual({ free: FREE_LIMIT, paid: 400 - FREE_LIMIT });
    const reopensAt = (await statsOf(started.origin.free)).windows[0]?.reopensAt ?? '';
    // The guard against clock drift is a few milliseconds.
    await waitUntil(() => Date.now() > Date.parse(reopensAt) + 100, { what: 'the block ends' });
    const second = await flood(started, cookie);
    expect(providersOf(second)).toEqual({ free: FREE_LIMIT, paid: 400 - FREE_LIMIT });
    const stats = await statsOf(started.origin.free);
    expect(stats.refused).toBe(0);
    expect(stats.windows.map(({ accepted, refused }) => ({ accepted, refused }))).toEqual([
      { accepted: FREE_LIMIT, refused: 0 },
      { accepted: FREE_LIMIT, refused: 0 },
    ]);
  }, 90_000);

  it('run into no refusal when one of them is killed half-way', async () => {
    const { started, cookie } = await startPods(3);
    const answers = await flood(started, cookie, (sent) => {
      if (sent === 200) started.process('gateway-2').kill('SIGKILL');
    });
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    const { windows, refused } = await statsOf(started.origin.free);
    expect({ refused, accepted: windows[0]?.accepted }).toEqual({ refused: 0, accepted: FREE_LIMIT });
    await waitUntil(() => started.log.some(({ event }) => event === 'ended unexpectedly, starting again'), {
      what: 'the launcher tells of the dead pod',
    });
    await waitUntil(() => isReady(started.gateways[1]), { what: 'the pod is back' });
  }, 90_000);
});

async function isReady(origin = ''): Promise<boolean> {
  try {
    return (await fetch(`${origin}/health/ready`)).ok;
  } catch {
    return false;
  }
}
