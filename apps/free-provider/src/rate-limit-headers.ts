export interface QuotaState {
  limit: number;
  /** How long the quota is for: its window or its block. */
  windowMs: number;
  remaining: number;
  /** Until more becomes available; left out when nothing says so. */
  waitMs?: number | undefined;
}

/** Structured fields of draft-ietf-httpapi-ratelimit-headers. Seconds are rounded up: never too early. */
export function rateLimitHeaders({ limit, windowMs, remaining, waitMs }: QuotaState): Record<string, string> {
  const wait = waitMs === undefined ? '' : `;t=${Math.ceil(waitMs / 1000)}`;
  return {
    'ratelimit-policy': `"free";q=${limit};w=${Math.ceil(windowMs / 1000)}`,
    ratelimit: `"free";r=${remaining}${wait}`,
  };
}
