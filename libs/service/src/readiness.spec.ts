import { describe, expect, it } from '@jest/globals';
import { Readiness } from './readiness.js';

const works = () => undefined;
const fails = () => 'is not connected';
const throws = () => Promise.reject(new Error('10.0.0.7 refused'));

function readinessWith({
  required,
  preferred,
}: Record<'required' | 'preferred', () => string | undefined | Promise<never>>) {
  const readiness = new Readiness();
  readiness.require('postgres', required);
  readiness.prefer('redis', preferred);
  return readiness;
}

describe('Readiness', () => {
  it('is ready when every check succeeds', async () => {
    const readiness = readinessWith({ required: works, preferred: works });
    expect(await readiness.state()).toEqual({ status: 'ready', missing: [] });
  });

  it('is degraded when only a preferred check fails', async () => {
    const readiness = readinessWith({ required: works, preferred: fails });
    expect(await readiness.state()).toEqual({
      status: 'degraded',
      missing: [{ name: 'redis', reason: 'is not connected' }],
    });
  });

  it('is down when a required check fails, and names all that is missing without the text of the error', async () => {
    const readiness = readinessWith({ required: throws, preferred: fails });
    expect(await readiness.state()).toEqual({
      status: 'down',
      missing: [
        { name: 'postgres', reason: 'cannot be reached' },
        { name: 'redis', reason: 'is not connected' },
      ],
    });
  });

  it('is down once the process stops', async () => {
    const readiness = readinessWith({ required: works, preferred: works });
    readiness.stop();
    expect(await readiness.state()).toMatchObject({ status: 'down', missing: [{ name: 'process' }] });
  });
});
