import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { parse } from './valid-body.js';
import { ProblemException } from './problem.js';

const schema = z.strictObject({
  name: z.string().min(2),
  count: z.coerce.number().int().min(1),
  size: z.int().max(10),
  tags: z.array(z.string()).max(1).optional(),
  kind: z.enum(['small', 'large']).optional(),
  nested: z.object({ isOn: z.boolean() }).optional(),
});

/** Pointer and detail of each bad field. */
function errorsOf(value: unknown): Record<string, string> {
  try {
    parse(value, { schema, code: 'invalid_request' });
  } catch (error) {
    if (!(error instanceof ProblemException)) throw error;
    return Object.fromEntries(error.extra.errors?.map(({ pointer, detail }) => [pointer, detail]) ?? []);
  }
  return {};
}

/** @throws if the schema accepts the value */
function refusalOf(value: unknown): ProblemException {
  try {
    parse(value, { schema, code: 'invalid_request' });
  } catch (error) {
    if (error instanceof ProblemException) return error;
    throw error;
  }
  throw new Error('the schema accepts the value');
}

describe('a body with thousands of errors', () => {
  const unknown = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, 1]));

  it('is answered with 20 of them and the number of the others', () => {
    const { detail, extra } = refusalOf({ name: 'ab', count: 1, size: 1, ...unknown(5_000) });
    expect(extra.errors).toHaveLength(20);
    expect(detail).toMatch(/; and 4980 more errors$/);
  });

  it('is answered without the names of the fields in full', () => {
    const long = { name: 'ab', count: 1, size: 1, ['~'.repeat(100_000)]: 1 };
    expect(refusalOf(long).extra.errors?.[0]?.pointer).toMatch(/^\/[~0]{99}…$/);
    expect(refusalOf(long).detail.length).toBeLessThan(200);
  });

  it('takes less than 5 ms of CPU', () => {
    const body = unknown(5_000);
    const timesMs = Array.from({ length: 15 }, () => {
      const before = process.cpuUsage();
      refusalOf(body);
      return process.cpuUsage(before).user / 1_000;
    });
    expect(timesMs.toSorted((a, b) => a - b)[7]).toBeLessThan(5);
  });
});

describe('a body that the schema refuses', () => {
  it('is answered with every missing field, numbers and coerced numbers too', () => {
    expect(errorsOf({})).toEqual({ '/name': 'is required', '/count': 'is required', '/size': 'is required' });
  });

  it('is answered with what each field must be', () => {
    const body = { name: 1, count: 'x', size: 1.5, tags: 'a', kind: 'huge', nested: { isOn: 'yes' }, 'a/b': 1 };
    expect(errorsOf(body)).toEqual({
      '/name': 'must be a string',
      '/count': 'must be a number',
      '/size': 'must be a whole number',
      '/tags': 'must be an array',
      '/kind': 'must be "small" or "large"',
      '/nested/isOn': 'must be true or false',
      '/a~1b': 'is not a known field',
    });
  });

  it('is answered with the bounds of each field', () => {
    expect(errorsOf({ name: 'a', count: 0, size: 11, tags: ['a', 'b'] })).toEqual({
      '/name': 'must have at least 2 characters',
      '/count': 'must be at least 1',
      '/size': 'must be at most 10',
      '/tags': 'must have at most 1 items',
    });
  });

  it('is answered as a whole when it is not an object', () => {
    expect(errorsOf(null)).toEqual({ '': 'must be an object' });
    expect(errorsOf(undefined)).toEqual({ '': 'is required' });
  });
});
