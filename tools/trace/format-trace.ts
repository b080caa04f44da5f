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
  const { id, createdAt, deliverBy, requestId, traceId, hops } = record;
  return [
    `message  ${id}`,
    `status   ${statusOf(record)}`,
    `created  ${createdAt}${deliverBy === null ? '' : `, to be delivered by ${deliverBy}`}`,
    `request  ${requestId}, trace ${traceId}`,
    '',
    ...hops.map((hop) => formatHop(hop, { label: String(hop.seq), startMs: Date.parse(createdAt) })),
  ].join('\n');
}

/** Formats the records of a trace, oldest first: the messages by number, then all their hops in order of time. */
export function formatTimeline(records: readonly MessageRecord[]): string {
  const hops = records.flatMap((record, index) => record.hops.map((hop) => ({ hop, label: `#${index + 1}` })));
  // Times of one format sort as text. Hops of one time stay in the order of their messages.
  hops.sort((one, other) => (one.hop.at < other.hop.at ? -1 : Number(one.hop.at > other.hop.at)));
  const startMs = Date.parse(hops[0]?.hop.at ?? '');
  return [
    `trace  ${records[0]?.traceId}`,
    ...records.map((record, index) => `${`#${index + 1}`.padStart(5)}  ${record.id}  ${statusOf(record)}`),
    '',
    ...hops.map(({ hop, label }) => formatHop(hop, { label, startMs })),
  ].join('\n');
}

function statusOf({ status, provider, costMicros, currency, reason, detail }: MessageRecord): string {
  const by = provider === null ? '' : ` by ${provider} for ${costMicros / 1_000_000} ${currency}`;
  const why = [reason, detail].filter((part) => part !== null).map((part) => `: ${part}`);
  return `${status}${by}${why.join('')}`;
}

function formatHop(hop: NumberedHop, { label, startMs }: { label: string; startMs: number }): string {
  const { at, pod, step, provider, epoch, outcome, httpStatus, durationMs, waitMs, reason } = hop;
  const facts = [
    provider,
    epoch === undefined ? undefined : `window ${epoch}`,
    outcome,
    httpStatus ? `HTTP ${httpStatus}` : undefined,
    durationMs === undefined ? undefined : `${durationMs} ms`,
    reason,
    waitMs === undefined ? undefined : `wait ${waitMs} ms`,
  ].filter((fact) => fact !== undefined);
  const after = `+${Date.parse(at) - startMs} ms`;
  const columns = [label.padStart(3), at, after.padStart(12), step.padEnd(10), MEANINGS[step], facts.join(', ')];
  return `${columns.filter((column) => column !== '').join('  ')}  [${pod}]`;
}
