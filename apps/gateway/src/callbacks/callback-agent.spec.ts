import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Agent } from 'undici';
import { callbackAgent, type Lookup } from './callback-agent.js';

let receiver: Server;
let port: number;
let connections: number;
let agents: Agent[];

beforeEach(async () => {
  connections = 0;
  agents = [];
  receiver = createServer((_request, response) => response.setHeader('connection', 'close').end('received'));
  receiver.on('connection', () => (connections += 1));
  receiver.listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  ({ port } = receiver.address() as AddressInfo);
});
afterEach(async () => {
  await Promise.all(agents.map((agent) => agent.destroy()));
  receiver.close();
  await once(receiver, 'close');
});

function agentWith(options: Parameters<typeof callbackAgent>[0]): Agent {
  const agent = callbackAgent(options);
  agents.push(agent);
  return agent;
}

const get = async (agent: Agent, host: string): Promise<string> => {
  const { body } = await agent.request({ origin: `http://${host}:${port}`, path: '/', method: 'GET' });
  return body.text();
};

/** Resolves every name to these addresses. */
const resolvingTo = (...addresses: string[]): Lookup => {
  const found: LookupAddress[] = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  return (_hostname, _options, resolved) => resolved(null, found);
};

describe('callbackAgent', () => {
  it.each(['127.0.0.1', 'localhost', '[::1]', '[::ffff:127.0.0.1]', '169.254.169.254'])(
    'does not connect to %s',
    async (host) => {
      const agent = agentWith({ allowPrivate: false });
      await expect(get(agent, host)).rejects.toMatchObject({ code: 'ADDRESS_REFUSED' });
      expect(connections).toBe(0);
    },
  );

  it.each([['127.0.0.1'], ['10.1.2.3'], ['fd00::1'], ['::ffff:127.0.0.1'], ['10.1.2.3', '127.0.0.1']])(
    'does not connect to a name that resolves to %s',
    async (...addresses) => {
      const agent = agentWith({ allowPrivate: false, lookup: resolvingTo(...addresses) });
      await expect(get(agent, 'hooks.example.com')).rejects.toMatchObject({ code: 'ADDRESS_REFUSED' });
      expect(connections).toBe(0);
    },
  );

  it('checks the address of every new connection, also when a name starts to resolve to a refused one', async () => {
    const answers = [['127.0.0.1'], ['169.254.169.254']];
    const agent = agentWith({
      allowPrivate: true,
      lookup: (hostname, options, resolved) => resolvingTo(...(answers.shift() ?? []))(hostname, options, resolved),
    });
    expect(await get(agent, 'hooks.example.com')).toBe('received');
    await expect(get(agent, 'hooks.example.com')).rejects.toMatchObject({ code: 'ADDRESS_REFUSED' });
    expect(connections).toBe(1);
  });

  it('connects to an allowed address of a name that also has a refused one', async () => {
    const agent = agentWith({ allowPrivate: true, lookup: resolvingTo('169.254.169.254', '127.0.0.1') });
    expect(await get(agent, 'hooks.example.com')).toBe('received');
  });

  it('fails with ENOTFOUND when a name cannot be resolved', async () => {
    const agent = agentWith({
      allowPrivate: false,
      lookup: (_hostname, _options, resolved) => resolved(Object.assign(new Error('no'), { code: 'ENOTFOUND' }), []),
    });
    await expect(get(agent, 'hooks.example.com')).rejects.toMatchObject({ code: 'ENOTFOUND' });
  });
});
