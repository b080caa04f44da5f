import type { Admission } from '#reference-provider';

const START_MS = Date.UTC(2026, 0, 1);

/** Calls an admission at moments given in milliseconds since a whole minute. */
export function atMoments(admission: Admission) {
  const at = (ms: number) => admission.decide(START_MS + ms);
  const headersAt = (ms: number) => admission.headers(START_MS + ms);
  return {
    admission,
    at,
    acceptsAt: (ms: number) => at(ms).accepted,
    headersAt,
    rateLimitAt: (ms: number) => headersAt(ms)['ratelimit'],
  };
}

export const instant = (ms: number) => new Date(START_MS + ms).toISOString();
