import { z } from 'zod';
import { providersFileSchema } from '../../apps/gateway/src/providers/provider-schema.js';

type JsonSchema = z.core.JSONSchema.BaseSchema;

/** A number may come from a variable. */
const VARIABLE = { type: 'string' as const, pattern: String.raw`^\$\{.+\}$` };

/** JSON Schema 2020-12 of the providers file as it is written, for editors. */
export function providersFileJsonSchema(): string {
  const schema = z.toJSONSchema(providersFileSchema, {
    target: 'draft-2020-12',
    io: 'input',
    override: ({ jsonSchema }) => {
      if (jsonSchema.type === 'integer' || jsonSchema.type === 'number') allowVariable(jsonSchema);
    },
  });
  const titled = { ...schema, title: 'Providers file of Octo' };
  const written = JSON.stringify(
    titled,
    (key, value: unknown) => (key === 'quotas' ? withNames(value as JsonSchema) : value),
    2,
  );
  return `${written}\n`;
}

function allowVariable(schema: JsonSchema): void {
  const number = { ...schema };
  for (const key of Object.keys(schema)) delete schema[key];
  schema.anyOf = [number, VARIABLE];
}

/** A quota of a list may have a name; a step before its strict schema takes the name away. */
function withNames(quotas: JsonSchema): JsonSchema {
  const { oneOf = [] } = quotas.items as JsonSchema;
  const named = oneOf.map(({ properties, ...policy }) =>
    Object.assign({}, policy, { properties: { name: { type: 'string' }, ...properties } }),
  );
  return { ...quotas, items: { oneOf: named } } as JsonSchema;
}
