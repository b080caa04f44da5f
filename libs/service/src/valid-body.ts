import { Body, type PipeTransform, Query } from '@nestjs/common';
import type { z } from 'zod';
import { PROBLEMS, type ProblemCode } from '#contracts';
import { ProblemException } from './problem.js';

/** Parameter decorator: the request body, parsed by the schema; anything else is a problem naming every bad field. */
export function ValidBody(schema: z.ZodType, code: ProblemCode = 'invalid_request'): ParameterDecorator {
  return Body({ schema, pipes: [new ParsePipe(schema, code)] });
}

/** Parameter decorator: the query parameters, parsed by the schema. */
export function ValidQuery(schema: z.ZodType, code: ProblemCode = 'invalid_request'): ParameterDecorator {
  return Query({ schema, pipes: [new ParsePipe(schema, code)] });
}

class ParsePipe implements PipeTransform {
  constructor(
    private readonly schema: z.ZodType,
    private readonly code: ProblemCode,
  ) {}

  transform(value: unknown): unknown {
    const result = this.schema.safeParse(value);
    if (result.success) return result.data;
    // With the input, a field that is missing is told from one of the wrong type.
    const { issues } = this.schema.safeParse(value, { reportInput: true }).error ?? result.error;
    const errors = issues.flatMap(fieldErrors);
    throw new ProblemException(
      issues.map(ownCode).find((own) => own !== undefined) ?? this.code,
      errors.map(({ pointer, detail }) => `${pointer || 'body'} ${detail}`).join('; '),
      { errors },
    );
  }
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
