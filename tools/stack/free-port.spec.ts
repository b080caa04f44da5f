import { expect, it } from '@jest/globals';
import { freePort } from './free-port.js';

it('gives no port twice, also before somebody listens on it', async () => {
  const COUNT = 600;
  const ports = await Promise.all(Array.from({ length: COUNT }, freePort));
  expect(new Set(ports).size).toBe(COUNT);
});
