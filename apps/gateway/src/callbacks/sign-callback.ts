import { createHmac } from 'node:crypto';

/**
 * Headers that prove to a receiver that Octo sent the callback, by Standard Webhooks 1.0
 * (https://github.com/standard-webhooks/standard-webhooks): one signature per key, over `id.timestamp.body`.
 */
export function signCallback({
  id,
  body,
  keys,
  now,
}: {
  id: string;
  body: string;
  keys: readonly Buffer[];
  now: Date;
}): Record<string, string> {
  const timestamp = String(Math.floor(now.getTime() / 1000));
  const signatures = keys.map(
    (key) => `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`,
  );
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures.join(' ') };
}
