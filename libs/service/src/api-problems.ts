import { applyDecorators } from '@nestjs/common';
import { ApiResponse } from '@nestjs/swagger';
import { PROBLEMS, type ProblemCode } from '#contracts';

/** `describeApi` adds this schema to the document. */
export const PROBLEM_JSON = { $ref: '#/components/schemas/Problem' };
/** Of statuses that say when to retry. */
const RETRY_AFTER = { 'Retry-After': { description: 'seconds', schema: { type: 'integer' } } } as const;
const WITH_RETRY_AFTER = new Set([402, 403, 409, 429, 503]);

/** Documents the problems of a route, one response per status. */
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
