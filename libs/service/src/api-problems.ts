import { applyDecorators } from '@nestjs/common';
import { ApiResponse } from '@nestjs/swagger';
import type { ProblemCode } from '#contracts';
import { describeProblem, type OwnProblem } from './problem.js';

/** `describeApi` adds this schema to the document. */
export const PROBLEM_JSON = { $ref: '#/components/schemas/Problem' };
/** Of statuses that say when to retry. */
const RETRY_AFTER = { 'Retry-After': { description: 'seconds', schema: { type: 'integer' } } } as const;
const WITH_RETRY_AFTER = new Set([402, 403, 409, 429, 503]);

/** Documents the problems of a route, one response per status. */
export function ApiProblems(...codes: (ProblemCode | OwnProblem)[]): MethodDecorator {
  const problems = codes.map(describeProblem);
  const statuses = [...new Set(problems.map(({ status }) => status))];
  return applyDecorators(
    ...statuses.map((status) =>
      ApiResponse({
        status,
        description: problems
          .filter((problem) => problem.status === status)
          .map(({ code, title }) => `\`${code}\`: ${title}`)
          .join('; '),
        ...(WITH_RETRY_AFTER.has(status) && { headers: RETRY_AFTER }),
        content: { 'application/problem+json': { schema: PROBLEM_JSON } },
      }),
    ),
  );
}
