/**
 * Every key of the quota engine.
 *
 * `{quota:<provider>}`: one hash per provider account, with the fields described in step.lua. Where an account has several
 * quotas, each has a hash of its own: `{quota:<provider>}:<quota>`. The braces are a Redis Cluster hash tag: everything of
 * one provider lives in one slot. No TTL: a missing key must never look like a fresh quota.
 */
export function quotaKey(provider: string, quota?: string): string {
  const key = `{quota:${provider}}`;
  return quota === undefined ? key : `${key}:${quota}`;
}
