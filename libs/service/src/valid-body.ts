import { Body, createParamDecorator, type ExecutionContext, Query } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { PROBLEMS, type ProblemCode } from '#contracts';
import { describeIssue } from './describe-issue.js';
import { ProblemException } from './problem.js';

// For the whole process: as an option of `safeParse` it costs 8 µs a message.
z.config({ customError: describeIssue });

/** Parameter decorator: the request body, parsed by the schema; throws a problem that names every bad field. */
export function ValidBody(schema: z.ZodType, code: ProblemCode = 'invalid_request'): ParameterDecorator {
  return parsed('body', Body({ schema }), { schema, code });
}

/** Parameter decorator: the query parameters, parsed by the schema; throws a problem as `ValidBody` does. */
export function ValidQuery(schema: z.ZodType, code: ProblemCode = 'invalid_request'): ParameterDecorator {
  return parsed('query', Query({ schema }), { schema, code });
}

interface Parser<Schema extends z.ZodType = z.ZodType> {
  schema: Schema;
  code: ProblemCode;
}

/** The last decorator of a parameter provides its value; Nest's own documents it. A pipe would cost five promises. */
function parsed(part: 'body' | 'query', documented: ParameterDecorator, parser: Parser): ParameterDecorator {
  const read = createParamDecorator((_: undefined, context: ExecutionContext) =>
    parse(context.switchToHttp().getRequest<FastifyRequest>()[part], parser),
  )();
  return (target, key, index) => {
    documented(target, key, index);
    read(target, key, index);
  };
}

/** Most errors that a problem lists. */
const MAX_ERRORS = 20;
/** Longest pointer of an error: a caller chooses the names of unknown fields. */
const MAX_POINTER_CHARS = 100;

interface FieldError {
  pointer: string;
  detail: string;
}

/** @throws ProblemException naming the bad fields, 20 at most */
export function parse<Schema extends z.ZodType>(value: unknown, { schema, code }: Parser<Schema>): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const { issues } = result.error;
  const errors = firstErrors(issues, value);
  const count = issues.reduce((sum, issue) => sum + (issue.code === 'unrecognized_keys' ? issue.keys.length : 1), 0);
  const texts = errors.map(({ pointer, detail }) => `${pointer || 'body'} ${detail}`);
  if (count > errors.length) texts.push(`and ${count - errors.length} more errors`);
  throw new ProblemException(issues.map(ownCode).find((own) => own !== undefined) ?? code, texts.join('; '), {
    errors,
  });
}

function firstErrors(issues: readonly z.core.$ZodIssue[], value: unknown): FieldError[] {
  const errors: FieldError[] = [];
  for (const issue of issues) {
    if (errors.length >= MAX_ERRORS) break;
    errors.push(...fieldErrors(issue, value, MAX_ERRORS - errors.length));
  }
  return errors;
}

/** A schema may name the problem itself: `.refine(…, { params: { problem: 'message_too_large' } })`. */
function ownCode(issue: z.core.$ZodIssue): ProblemCode | undefined {
  const own: unknown = issue.code === 'custom' ? issue.params?.['problem'] : undefined;
  return typeof own === 'string' && own in PROBLEMS ? (own as ProblemCode) : undefined;
}

function fieldErrors(issue: z.core.$ZodIssue, value: unknown, most: number): FieldError[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys
      .slice(0, most)
      .map((key) => ({ pointer: pointerOf([...issue.path, key]), detail: 'is not a known field' }));
  }
  // Not by the issue: a schema's own text hides that the field is missing, and coercion turns undefined into NaN.
  const isMissing = issue.code === 'invalid_type' && at(value, issue.path) === undefined;
  return [{ pointer: pointerOf(issue.path), detail: isMissing ? 'is required' : lowerFirst(issue.message) }];
}

function at(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (node, key) => (typeof node === 'object' && node !== null ? Reflect.get(node, key) : undefined),
    value,
  );
}

/** JSON pointer (RFC 6901). A long one ends with `…`. */
function pointerOf(path: readonly PropertyKey[]): string {
  // Cut first: the work must not grow with the length of a name.
  const parts = path.map((part) => String(part).slice(0, MAX_POINTER_CHARS + 1));
  const pointer = parts.map((part) => `/${part.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
  return pointer.length > MAX_POINTER_CHARS ? `${pointer.slice(0, MAX_POINTER_CHARS)}…` : pointer;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
