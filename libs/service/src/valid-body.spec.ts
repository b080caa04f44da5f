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
