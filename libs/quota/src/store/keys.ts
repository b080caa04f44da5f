/**
 * Every key the quota engine uses.
 *
 * `{quota:<provider>}`: one hash per provider account, fields as in step.lua. The braces are a Redis Cluster hash tag:
 * all that belongs to a provider lives in one slot. No TTL: a missing key must never look like a fresh quota.
 */
export function quotaKey(provider: string): string {
  return `{quota:${provider}}`;
}
