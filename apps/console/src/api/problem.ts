import type { Problem } from '#contracts';

/** An answer that is not a success, or no answer at all (`status` 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly problem: Partial<Problem>,
    readonly retryAfterMs?: number,
  ) {
    super(problem.detail ?? problem.title ?? `status ${status}`);
  }

  get code(): string {
    return this.problem.code ?? (this.status === 0 ? 'unreachable' : 'unknown');
  }
}
