import { Body, createParamDecorator, type ExecutionContext, Query } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { PROBLEMS, type ProblemCode } from '#contracts';
import { ProblemException } from './problem.js';

/** Parameter decorator: the request body, parsed by the schema; anything else is a problem naming every bad field. */
export function ValidBody(schema: z.ZodType, code: ProblemCode = 'invalid_request'): ParameterDecorator {
  return parsed('body', Body({ schema }), { schema, code });
}

/** Parameter decorator: the query parameters, parsed by the schema. */
export function ValidQuery(schema: z.ZodType, code: ProblemCode = 'invalid_request'): ParameterDecorator {
  return parsed('query', Query({ schema }), { schema, code });
}

interface Parser {
  schema: z.ZodType;
  code: ProblemCode;
}

/** The last decorator of a parameter gives its value; Nest's own documents it. A pipe would take five promises. */
function parsed(part: 'body' | 'query', documented: ParameterDecorator, parser: Parser): ParameterDecorator {
  const read = createParamDecorator((_: undefined, context: ExecutionContext) =>
    parse(context.switchToHttp().getRequest<FastifyRequest>()[part], parser),
  )();
  return (target, key, index) => {
    documented(target, key, index);
    read(target, key, index);
  };
}

function parse(value: unknown, { schema, code }: Parser): unknown {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  // With the input, a field that is missing is told from one of the wrong type.
  const { issues } = schema.safeParse(value, { reportInput: true }).error ?? result.error;
  const errors = issues.flatMap(fieldErrors);
  throw new ProblemException(
    issues.map(ownCode).find((own) => own !== undefined) ?? code,
    errors.map(({ pointer, detail }) => `${pointer || 'body'} ${detail}`).join('; '),
    { errors },
  );
}

/** A schema may name the problem itself: `.refine(…, { params: { problem: 'message_too_large' } })`. */
function ownCode(issue: z.core.$ZodIssue): ProblemCode | undefined {
  const own: unknown = issue.code === 'custom' ? issue.params?.['problem'] : undefined;
  return typeof own === 'string' && own in PROBLEMS ? (own as ProblemCode) : undefined;
}

function fieldErrors(issue: z.core.$ZodIssue): { pointer: string; detail: string }[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ pointer: pointerOf([...issue.path, key]), detail: 'is not a known field' }));
  }
  const missing = issue.code === 'invalid_type' && issue.input === undefined;
  return [{ pointer: pointerOf(issue.path), detail: missing ? 'is required' : lowerFirst(issue.message) }];
}

/** JSON pointer (RFC 6901). */
function pointerOf(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
