import { randomBytes } from 'node:crypto';
import { login, postMessage } from '../../../../test/support/client.js';
import type { Site } from './site.js';

export const SMS = { message: { to: '+15551234567', text: 'hello' }, channel: 'sms' };

export interface SentTrace {
  traceId: string;
  /** In the order in which they were sent. */
  ids: string[];
}

/** Sends three messages of one trace as the account `paid`: two are delivered, and the last one waits. */
export async function sendTrace(site: Site): Promise<SentTrace> {
  const traceId = randomBytes(16).toString('hex');
  const cookie = await login(site.origin);
  const deliverBy = new Date(Date.now() + 600_000).toISOString();
  const ids: string[] = [];
  // No provider of its channel accepts it.
  const waiting = { message: 'later', channel: 'refusing', deliverBy };
  for (const body of [SMS, SMS, waiting]) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    const answer = await postMessage(site.origin, cookie, body, { traceparent: `00-${traceId}-00f067aa0ba902b7-01` });
    ids.push(String(answer.body.id));
  }
  return { traceId, ids };
}
