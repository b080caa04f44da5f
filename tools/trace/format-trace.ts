import type { MessageRecord } from '#contracts';

type Told = MessageRecord['hops'][number];

/** What a step means, for somebody who has not read the code. */
const MEANINGS: Record<Told['step'], string> = {
  accepted: 'the gateway took it',
  no_permit: 'no free slot there',
  sending: 'on its way',
  answered: 'the answer',
  waiting: 'put to wait',
  taken_over: 'its pod died; another one goes on',
  delivered: 'delivered',
  failed: 'not delivered',
  expired: 'its deadline came first',
  cancelled: 'its sender cancelled it',
  unknown: 'nobody can say whether it was delivered',
};

/** One message, hop by hop, for a terminal. */
export function formatTrace(record: MessageRecord): string {
  const { id, status, provider, costMicros, currency, createdAt, deliverBy, detail, requestId, traceId } = record;
  const by = provider === null ? '' : ` by ${provider}, ${costMicros} millionths of a ${currency}`;
  return [
    `message  ${id}`,
    `status   ${status}${by}${detail === null ? '' : `: ${detail}`}`,
    `created  ${createdAt}${deliverBy === null ? '' : `, to be delivered by ${deliverBy}`}`,
    `request  ${requestId}, trace ${traceId}`,
    '',
    ...record.hops.map((hop) => formatHop(hop, Date.parse(createdAt))),
  ].join('\n');
}

function formatHop(hop: Told, createdMs: number): string {
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
