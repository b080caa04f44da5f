export interface QuotaState {
  name: string;
  limit: number;
  /** Length of the window or of the block. */
  windowMs: number;
  remaining: number;
  /** Until more becomes available; omitted when unknown. */
  waitMs?: number | undefined;
}

/** Structured fields of draft-ietf-httpapi-ratelimit-headers. Seconds round up, so that no client retries too early. */
export function rateLimitHeaders({ name, limit, windowMs, remaining, waitMs }: QuotaState): Record<string, string> {
  const wait = waitMs === undefined ? '' : `;t=${Math.ceil(waitMs / 1000)}`;
  return {
    'ratelimit-policy': `"${name}";q=${limit};w=${Math.ceil(windowMs / 1000)}`,
    ratelimit: `"${name}";r=${remaining}${wait}`,
  };
}
