import { z } from 'zod';
import { quotaPolicySchema } from '#quota';
import { countedSchema, providersFileSchema } from '../../apps/gateway/src/providers/provider-schema.js';

type JsonSchema = z.core.JSONSchema.BaseSchema;

/** A number may come from a variable. */
const VARIABLE = { type: 'string' as const, pattern: String.raw`^\$\{.+\}$` };

/** JSON Schema 2020-12 of the providers file as it is written, for editors. */
export function providersFileJsonSchema(): string {
  const schema = jsonSchemaOf(providersFileSchema);
  const titled = { ...schema, title: 'Providers file of Octo' };
  const written = JSON.stringify(
    titled,
    (key, value: unknown) => (key === 'quotas' ? withNames(value as JsonSchema) : value),
    2,
  );
  return `${written}\n`;
}

function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, {
    target: 'draft-2020-12',
    io: 'input',
    override: ({ jsonSchema }) => {
      if (jsonSchema.type === 'integer' || jsonSchema.type === 'number') allowVariable(jsonSchema);
    },
  });
}

function allowVariable(schema: JsonSchema): void {
  const number = { ...schema };
  for (const key of Object.keys(schema)) delete schema[key];
  schema.anyOf = [number, VARIABLE];
}

/** A quota of a list may have a name, and count an amount for each request. */
function withNames(quotas: JsonSchema): JsonSchema {
  const { oneOf = [] } = jsonSchemaOf(quotaPolicySchema);
  const { properties: counted } = jsonSchemaOf(countedSchema);
  const named = oneOf.map(({ properties, ...policy }) =>
    Object.assign({}, policy, { properties: { ...counted, ...properties } }),
  );
  return { ...quotas, items: { oneOf: named } };
}
