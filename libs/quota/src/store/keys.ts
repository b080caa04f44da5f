/**
 * Every key of the quota engine.
 *
 * `{quota:<provider>}`: one hash per provider account, with the fields described in step.lua. The braces are a Redis
 * Cluster hash tag: everything of one provider lives in one slot. No TTL: a missing key must never look like a fresh quota.
 */
export function quotaKey(provider: string): string {
  return `{quota:${provider}}`;
}
