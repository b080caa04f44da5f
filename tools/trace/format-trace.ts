import type { MessageRecord } from '#contracts';

type NumberedHop = MessageRecord['hops'][number];

/** What each step means, for readers who do not know the code. */
const MEANINGS: Record<NumberedHop['step'], string> = {
  accepted: 'accepted by the gateway',
  no_permit: 'no permit for this provider',
  sending: 'sent to the provider',
  answered: 'the provider answered',
  waiting: 'waits',
  taken_over: 'its pod died; another pod continues',
  delivered: 'delivered',
  failed: 'not delivered',
  expired: 'the deadline passed',
  cancelled: 'cancelled by the caller',
  unknown: 'delivered or not: no provider confirmed it',
};

/** Formats the record of a message, hop by hop, for a terminal. */
export function formatTrace(record: MessageRecord): string {
  const { id, status, provider, costMicros, currency, createdAt, deliverBy, requestId, traceId } = record;
  const by = provider === null ? '' : ` by ${provider} for ${costMicros / 1_000_000} ${currency}`;
  const why = [record.reason, record.detail].filter((part) => part !== null).map((part) => `: ${part}`);
  return [
    `message  ${id}`,
    `status   ${status}${by}${why.join('')}`,
    `created  ${createdAt}${deliverBy === null ? '' : `, to be delivered by ${deliverBy}`}`,
    `request  ${requestId}, trace ${traceId}`,
    '',
    ...record.hops.map((hop) => formatHop(hop, Date.parse(createdAt))),
  ].join('\n');
}

function formatHop(hop: NumberedHop, createdMs: number): string {
  const { seq, at, pod, step, provider, epoch, outcome, httpStatus, durationMs, waitMs, reason } = hop;
  const facts = [
    provider,
    epoch === undefined ? undefined : `window ${epoch}`,
    outcome,
    httpStatus ? `HTTP ${httpStatus}` : undefined,
    durationMs === undefined ? undefined : `${durationMs} ms`,
    reason,
    waitMs === undefined ? undefined : `wait ${waitMs} ms`,
  ].filter((fact) => fact !== undefined);
  const after = `+${Date.parse(at) - createdMs} ms`;
  const columns = [String(seq).padStart(3), at, after.padStart(12), step.padEnd(10), MEANINGS[step], facts.join(', ')];
  return `${columns.filter((column) => column !== '').join('  ')}  [${pod}]`;
}
