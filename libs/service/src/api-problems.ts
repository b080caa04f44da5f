import { applyDecorators } from '@nestjs/common';
import { ApiResponse } from '@nestjs/swagger';
import { z } from 'zod';
import { PROBLEMS, type ProblemCode, problemSchema } from '#contracts';

/** Itself, not by its name: an OpenAPI document keeps its schemas elsewhere. */
const { definitions = {} } = z.toJSONSchema(problemSchema, { target: 'openapi-3.0' });
const PROBLEM_JSON = (definitions as Record<string, object>)['Problem'] ?? {};
/** Of those that say when to try again. */
const RETRY_AFTER = { 'Retry-After': { description: 'seconds', schema: { type: 'integer' } } } as const;
const WITH_RETRY_AFTER = new Set([403, 409, 429, 503]);

/** Documents the problems a route answers with, one response per status. */
export function ApiProblems(...codes: ProblemCode[]): MethodDecorator {
  const statuses = [...new Set(codes.map((code) => PROBLEMS[code][0]))];
  return applyDecorators(
    ...statuses.map((status) =>
      ApiResponse({
        status,
        description: codes
          .filter((code) => PROBLEMS[code][0] === status)
          .map((code) => `\`${code}\`: ${PROBLEMS[code][1]}`)
          .join('; '),
        ...(WITH_RETRY_AFTER.has(status) && { headers: RETRY_AFTER }),
        content: { 'application/problem+json': { schema: PROBLEM_JSON } },
      }),
    ),
  );
}
