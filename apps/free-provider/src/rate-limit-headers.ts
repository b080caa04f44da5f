export interface QuotaState {
  name: string;
  /** Default: requests. */
  unit?: string | undefined;
  limit: number;
  /** Length of the window or of the block. */
  windowMs: number;
  remaining: number;
  /** Until more becomes available; omitted when unknown. */
  waitMs?: number | undefined;
}

/** Structured fields of draft-ietf-httpapi-ratelimit-headers. Seconds round up, so that no client retries too early. */
export function rateLimitHeaders({
  name,
  unit = 'requests',
  limit,
  windowMs,
  remaining,
  waitMs,
}: QuotaState): Record<string, string> {
  const wait = waitMs === undefined ? '' : `;t=${Math.ceil(waitMs / 1000)}`;
  const counted = unit === 'requests' ? '' : `;qu="${unit}"`;
  return {
    'ratelimit-policy': `"${name}";q=${limit};w=${Math.ceil(windowMs / 1000)}${counted}`,
    ratelimit: `"${name}";r=${remaining}${wait}`,
  };
}
