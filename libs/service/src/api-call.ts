import { applyDecorators } from '@nestjs/common';
import { ApiOperation, ApiResponse } from '@nestjs/swagger';
import type { z } from 'zod';
import type { ProblemCode } from '#contracts';
import { ApiProblems } from './api-problems.js';
import type { OwnProblem } from './problem.js';

/**
 * Documents a route: what it does, what it answers, and its problems.
 * @param answers by status: the schema of the body, or a sentence about an answer without one
 */
export function ApiCall(
  summary: string,
  answers: Record<number, z.ZodType | string>,
  ...problems: (ProblemCode | OwnProblem)[]
): MethodDecorator {
  const responses = Object.entries(answers).map(([status, answer]) =>
    ApiResponse({
      status: Number(status),
      ...(typeof answer === 'string' ? { description: answer } : { standardSchema: answer }),
    }),
  );
  return applyDecorators(ApiOperation({ summary }), ...responses, ApiProblems(...problems));
}
