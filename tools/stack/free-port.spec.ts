import { expect, it } from '@jest/globals';
import { freePort } from './free-port.js';

it('freePort returns no port twice, even before the ports are in use', async () => {
  const COUNT = 600;
  const ports = await Promise.all(Array.from({ length: COUNT }, freePort));
  expect(new Set(ports).size).toBe(COUNT);
});
