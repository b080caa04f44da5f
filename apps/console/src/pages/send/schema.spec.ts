import { describe, expect, it } from '@jest/globals';
import { initialValue, kindOf, type Kind, type Schema } from './schema.js';

const CASES: [name: string, schema: Schema, kind: Kind][] = [
  ['short text', { type: 'string', maxLength: 40 }, 'text'],
  ['text with a format', { type: 'string', format: 'email' }, 'text'],
  ['text with a pattern', { type: 'string', pattern: '^[0-9]+$' }, 'text'],
  ['text without a short limit', { type: 'string' }, 'longText'],
  ['a whole number', { type: 'integer' }, 'number'],
  ['a yes or no', { type: 'boolean' }, 'boolean'],
  ['one of several values', { enum: ['a', 2, null] }, 'choice'],
  ['a list of texts', { type: 'array', items: { type: 'string' } }, 'lines'],
  ['an object with known members', { type: 'object', properties: { a: {} } }, 'object'],
  ['an object with any members', { type: 'object' }, 'json'],
  ['a list of objects', { type: 'array', items: { type: 'object', properties: { a: {} } } }, 'json'],
  ['several types', { type: ['string', 'null'] }, 'json'],
  ['anything', {}, 'json'],
];

describe('the form of a message', () => {
  it.each(CASES)('has a control for %s', (_name, schema, kind) => {
    expect(kindOf(schema)).toBe(kind);
  });

  it('begins with the defaults, and with the objects that a message must have', () => {
    const schema: Schema = {
      type: 'object',
      required: ['must'],
      properties: {
        language: { type: 'string', default: 'en' },
        must: { type: 'object', properties: { to: { type: 'string' } } },
        may: { type: 'object', properties: { to: { type: 'string' } } },
      },
    };
    expect(initialValue(schema)).toEqual({ language: 'en', must: {} });
  });
});
