import { applyDecorators } from '@nestjs/common';
import { ApiResponse } from '@nestjs/swagger';
import { z } from 'zod';
import { PROBLEMS, type ProblemCode, problemSchema } from '#contracts';

const PROBLEM_JSON = z.toJSONSchema(problemSchema, { target: 'openapi-3.0' });

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
        content: { 'application/problem+json': { schema: PROBLEM_JSON as object } },
      }),
    ),
  );
}
