import { z } from 'zod';
import { providersFileSchema } from '../../apps/gateway/src/providers/provider-schema.js';

/** A number or boolean may come from a variable. */
const VARIABLE = { type: 'string' as const, pattern: String.raw`^\$\{.+\}$` };

/** JSON Schema 2020-12 of the providers file as it is written, for editors. */
export function providersFileJsonSchema(): string {
  const schema = z.toJSONSchema(providersFileSchema, {
    target: 'draft-2020-12',
    io: 'input',
    unrepresentable: 'any',
    override: ({ jsonSchema }) => {
      if (jsonSchema.type !== 'integer' && jsonSchema.type !== 'number') return;
      const number = { ...jsonSchema };
      for (const key of Object.keys(jsonSchema)) delete jsonSchema[key];
      jsonSchema.anyOf = [number, VARIABLE];
    },
  });
  return `${JSON.stringify({ ...schema, title: 'Providers file of Octo' }, null, 2)}\n`;
}
