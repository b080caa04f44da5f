import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { waitUntil } from '../tools/stack/wait-until.js';
import { call, login, postMessage, statsOf } from './support/client.js';
import { Nginx } from './support/nginx.js';
import { type Stack, startStack } from './support/stack.js';

/** As docker-compose.yml sets them for deploy/nginx.conf. */
const SHUTDOWN = { SHUTDOWN_DELAY_MS: '2000', SHUTDOWN_DRAIN_MS: '5000' };
const PODS = 3;
const CALLERS = 12;

let stack: Stack;
let nginx: Nginx;
beforeAll(async () => {
  stack = await startStack({ pods: PODS, env: { ...SHUTDOWN, FREE_LIMIT: '1000000', MESSAGES_PER_SECOND: '100000' } });
  nginx = await Nginx.start(stack.gateways.map((origin) => Number(new URL(origin).port)));
});
afterAll(async () => {
  await nginx?.stop();
  await stack?.stop();
});

/** Ends the gateway with SIGTERM; the stack starts it again. Resolves when it is ready. */
async function restart(pod: number): Promise<void> {
  const gateway = stack.process(`gateway-${pod + 1}`);
  const { pid } = gateway;
  gateway.kill('SIGTERM');
  const isReady = async (): Promise<boolean> =>
    gateway.pid !== pid &&
    (await call(`${stack.gateways[pod]}/health/ready`).then(
      ({ status }) => status === 200,
      () => false,
    ));
  await waitUntil(isReady, { what: `gateway ${pod + 1} is ready again`, deadlineMs: 120_000, everyMs: 100 });
}

it('a rolling restart of all gateways behind nginx fails no message and sends none twice', async () => {
  const cookie = await login(stack.gateways[0] ?? '');
  const over = new AbortController();
  const statuses: Record<string, number> = {};
  const caller = async (): Promise<void> => {
    while (!over.signal.aborted) {
      const status = await postMessage(nginx.origin, cookie).then(
        (answer) => `${answer.status} ${answer.body.code ?? ''}`.trim(),
        (error: Error) => error.message,
      );
      statuses[status] = (statuses[status] ?? 0) + 1;
    }
  };
  const callers = Array.from({ length: CALLERS }, caller);
  for (let pod = 0; pod < PODS; pod += 1) await restart(pod);
  over.abort();
  await Promise.all(callers);
  const sent = statuses['200'] ?? 0;
  expect(statuses).toEqual({ '200': sent });
  expect(sent).toBeGreaterThan(100);
  const [free, paid] = await Promise.all([statsOf(stack.origin.free), statsOf(stack.origin.paid)]);
  expect(free.accepted + paid.accepted).toBe(sent);
}, 600_000);
