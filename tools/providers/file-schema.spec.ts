import { describe, expect, it } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { readdirSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { providersFileJsonSchema } from './file-schema.js';

const readyFiles = readdirSync('docs/providers').map((name) => `docs/providers/${name}`);
const files = ['providers.yaml', ...readyFiles].filter((path) => path.endsWith('.yaml'));

describe('the JSON Schema of the providers file', () => {
  it('is up to date; `npm run providers -- schema` writes it', () => {
    expect(readFileSync('providers.schema.json', 'utf8')).toBe(providersFileJsonSchema());
  });

  it.each(files)('accepts %s, which names it', (path) => {
    const validate = new Ajv2020({ strict: false }).compile(JSON.parse(providersFileJsonSchema()) as object);
    const text = readFileSync(path, 'utf8');
    validate(parse(text));
    expect(validate.errors).toBeNull();
    expect(text).toMatch(/^# yaml-language-server: \$schema=(\.\.\/\.\.|\.)\/providers\.schema\.json\n/);
  });

  it.each([
    ['a field it does not know', { limit: 3 }, false],
    ['a price in words', { priceMicros: 'free' }, false],
    ['a price from a variable', { priceMicros: '${PRICE:-0}' }, true],
    ['a name at a single quota', { quota: { name: 'day', policy: 'fixed-window', limit: 1, windowMs: 1 } }, false],
    ['a named quota', { quotas: [{ name: 'day', policy: 'fixed-window', limit: 1, windowMs: 1 }] }, true],
  ])('judges a provider with %s', (_what, fields, isValid) => {
    const validate = new Ajv2020({ strict: false }).compile(JSON.parse(providersFileJsonSchema()) as object);
    const provider = { name: 'a', url: 'http://a', priceMicros: 0, ...fields };
    expect(validate({ currency: 'USD', providers: [provider] })).toBe(isValid);
  });
});
