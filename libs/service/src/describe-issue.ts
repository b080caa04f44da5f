import type { z } from 'zod';

const TYPES: Record<string, string> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'an array',
  object: 'an object',
  record: 'an object',
};

/** Units of the bounds of a value; a number has none. */
const UNITS: Record<string, string> = { string: ' characters', array: ' items' };

/**
 * Texts for what Zod finds wrong, to follow the name of the field. A text in the schema itself wins. The input of a coerced
 * number that is missing is NaN here, not undefined.
 */
export function describeIssue(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined ? 'is required' : `must be ${TYPES[issue.expected] ?? `a ${issue.expected}`}`;
    case 'invalid_value':
      return `must be ${issue.values.map((value) => JSON.stringify(value)).join(' or ')}`;
    case 'too_small':
      return `must ${bound(issue.origin, 'at least', issue.minimum)}`;
    case 'too_big':
      return `must ${bound(issue.origin, 'at most', issue.maximum)}`;
    case 'unrecognized_keys':
      return `must not have ${namesOf(issue.keys)}`;
    default:
      return undefined;
  }
}

/** Names of unknown fields that a text lists. */
const MAX_NAMES = 20;

function namesOf(keys: readonly string[]): string {
  const names = keys.slice(0, MAX_NAMES).map((key) => JSON.stringify(key));
  const more = keys.length - names.length;
  return `${names.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

function bound(origin: string, relation: 'at least' | 'at most', limit: number | bigint): string {
  const unit = UNITS[origin];
  return unit === undefined ? `be ${relation} ${limit}` : `have ${relation} ${limit}${unit}`;
}
