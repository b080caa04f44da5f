/** The part of JSON Schema that the form understands; the gateway checks the rest. */
export interface Schema {
  type?: string | string[];
  title?: string;
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  enum?: unknown[];
  default?: unknown;
  examples?: unknown[];
  format?: string;
  pattern?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
}

export type Kind = 'object' | 'text' | 'longText' | 'number' | 'boolean' | 'choice' | 'lines' | 'json';

/** Texts that may be longer than this get a larger control. */
const SHORT_TEXT_MAX = 120;

export function kindOf(schema: Schema): Kind {
  const { type, properties, items, format, maxLength, enum: options } = schema;
  if (options !== undefined) return 'choice';
  if (type === 'object' && properties !== undefined) return 'object';
  if (type === 'string') {
    if (format !== undefined) return 'text';
    return (maxLength ?? Infinity) > SHORT_TEXT_MAX && schema.pattern === undefined ? 'longText' : 'text';
  }
  if (type === 'number' || type === 'integer') return 'number';
  if (type === 'boolean') return 'boolean';
  if (type === 'array' && items !== undefined && kindOf(items) === 'text') return 'lines';
  if (type === 'array' && items?.type === 'string' && items.enum === undefined) return 'lines';
  return 'json';
}

/** What a form begins with: the defaults of the schema. */
export function initialValue(schema: Schema): unknown {
  if (schema.default !== undefined) return schema.default;
  if (kindOf(schema) !== 'object') return undefined;
  const members = Object.entries(schema.properties ?? {}).flatMap(([name, part]) => {
    const value = initialValue(part);
    const isEmptyObject = isRecord(value) && Object.keys(value).length === 0;
    const isLeftOut = value === undefined || (isEmptyObject && !schema.required?.includes(name));
    return isLeftOut ? [] : [[name, value] as const];
  });
  return Object.fromEntries(members);
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
