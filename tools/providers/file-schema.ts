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
    override: ({ jsonSchema, path }) => {
      if (jsonSchema.type === 'integer' || jsonSchema.type === 'number') allowVariable(jsonSchema);
      if (path.at(-1) === 'quotas') allowNames(jsonSchema);
    },
  });
  return `${JSON.stringify({ ...schema, title: 'Providers file of Octo' }, null, 2)}\n`;
}

function allowVariable(schema: JsonSchema): void {
  const number = { ...schema };
  for (const key of Object.keys(schema)) delete schema[key];
  schema.anyOf = [number, VARIABLE];
}

/** A quota of a list may have a name; a step before its strict schema takes the name away. */
function allowNames({ items }: JsonSchema): void {
  const named = items as JsonSchema;
  // Copies: the schema of a single quota shares these objects.
  const { oneOf = [] } = named;
  named.oneOf = oneOf.map((policy) =>
    Object.assign({}, policy, { properties: { name: { type: 'string' }, ...policy.properties } }),
  );
}
