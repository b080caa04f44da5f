import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ChannelList, ConsoleEvent } from '#contracts';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { call, login, postMessage } from '../../../test/support/client.js';
import { type Stack, startStack } from '../../../test/support/stack.js';

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ pods: 2, env: { FREE_LIMIT: '3' } });
});
afterAll(() => stack.stop());

/** A stream of console events, read in the background. */
class Watched {
  readonly events: ConsoleEvent[] = [];
  hasEnded = false;
  private readonly abort = new AbortController();

  static async open(origin: string, cookie: string): Promise<Watched> {
    const watched = new Watched();
    const { signal } = watched.abort;
    const response = await fetch(`${origin}/console/events`, { headers: { cookie }, signal });
    if (response.headers.get('content-type') !== 'text/event-stream; charset=utf-8') {
      throw new Error(`no event stream, but status ${response.status}`);
    }
    void watched.read(response);
    return watched;
  }

  get last(): ConsoleEvent | undefined {
    return this.events.at(-1);
  }

  close(): void {
    this.abort.abort();
  }

  private async read(response: Response): Promise<void> {
    let text = '';
    try {
      for await (const chunk of response.body ?? []) {
        text += Buffer.from(chunk).toString('utf8');
        const blocks = text.split('\n\n');
        text = blocks.pop() ?? '';
        for (const block of blocks) {
          if (block.startsWith('data: ')) this.events.push(JSON.parse(block.slice(6)) as ConsoleEvent);
        }
      }
    } catch {
      // The test closed the stream.
    }
    this.hasEnded = true;
  }
}

function deliveredBy(event: ConsoleEvent | undefined, provider: string): number {
  return event?.pods.reduce((sum, { delivered }) => sum + (delivered[provider] ?? 0), 0) ?? 0;
}

describe('GET /console/events', () => {
  it('needs a token', async () => {
    expect((await call(`${stack.origin.gateway}/console/events`)).status).toBe(401);
  });

  it('sends quotas and the totals of every pod, whichever pod a console is connected to', async () => {
    const cookie = await login(stack.origin.gateway);
    const watched = await Promise.all(stack.gateways.map((origin) => Watched.open(origin, cookie)));
    for (const origin of stack.gateways) for (let i = 0; i < 2; i += 1) await postMessage(origin, cookie);
    const freeCookie = await login(stack.origin.gateway, 'free@octo.local');
    expect((await postMessage(stack.origin.gateway, freeCookie)).status).toBe(403);
    const isComplete = (event: ConsoleEvent | undefined): boolean =>
      deliveredBy(event, 'free') === 3 && deliveredBy(event, 'paid') === 1 && event?.pods.length === 2;
    await waitUntil(() => watched.every(({ last }) => isComplete(last)), { what: 'both consoles show all messages' });
    await waitUntil(() => watched.every(({ last }) => last?.pods.some(({ refused }) => refused === 1)), {
      what: 'both consoles show the refused message',
    });
    const { last } = watched[0] ?? {};
    expect(last?.quota.providers[0]).toMatchObject({ name: 'free', state: 'blocked', used: 3, limit: 3 });
    expect(last?.missing).toEqual([]);
    for (const stream of watched) stream.close();
  });

  it('sends the same event to all consoles of a pod', async () => {
    const cookie = await login(stack.origin.gateway);
    const [one, other] = await Promise.all([1, 2].map(() => Watched.open(stack.origin.gateway, cookie)));
    const times = (watched: Watched | undefined): string[] => watched?.events.map(({ at }) => at) ?? [];
    await waitUntil(() => times(one).filter((at) => times(other).includes(at)).length >= 2, {
      what: 'two events that both consoles got',
    });
    one?.close();
    other?.close();
  });

  it('ends when the session logs out', async () => {
    const cookie = await login(stack.origin.gateway);
    const watched = await Watched.open(stack.origin.gateway, cookie);
    await waitUntil(() => watched.last !== undefined, { what: 'the first event' });
    await call(`${stack.origin.gateway}/auth/logout`, { method: 'POST', headers: { cookie } });
    await waitUntil(() => watched.hasEnded, { what: 'the stream has ended' });
  });
});

describe('GET /channels', () => {
  it('lists the channels, their providers in the order they are tried, and what a message is', async () => {
    const cookie = await login(stack.origin.gateway);
    const { body } = await call<ChannelList>(`${stack.origin.gateway}/channels`, { headers: { cookie } });
    expect(body).toEqual({
      items: [{ name: 'default', isDefault: true, providers: ['free', 'paid'], message: null }],
    });
  });
});
