import type { AcceptedRequest, Hop, ProviderStats } from '#contracts';
import type { JournalRow } from '../../testbed/journal.js';
import type { SentMessage } from './client.js';

/** What each witness of a run recorded. */
export interface Evidence {
  /** The client's notes. */
  sent: readonly SentMessage[];
  /** The rows in Postgres. */
  journal: readonly JournalRow[];
  /** The providers' logs. */
  accepted: Record<ProviderName, readonly AcceptedRequest[]>;
  freeStats: ProviderStats;
}
type ProviderName = 'free' | 'paid';

export const GOALS = {
  'not recorded': 'the journal does not hold a message that a client got an answer for, or differs from the answer',
  lost: 'an accepted message did not end as delivered, expired or unknown',
  unfinished: 'a message still waits or is in flight',
  twice: 'a message was accepted twice, and its journal row shows no unknown outcome',
  'not accepted': 'the journal says delivered, and that provider did not accept the message',
  denied: 'a message was delivered although its client or the journal got a refusal',
  'paid against its will': 'a message that must not cost anything was paid for',
  unexplained: 'providers accepted more messages without a journal row than calls were cut off',
} as const;
export type Goal = keyof typeof GOALS;

export interface Violation {
  goal: Goal;
  ids: string[];
  text?: string | undefined;
}

/** Allowed, but worth counting: accepted by both providers after an unknown outcome, or ended as unknown. */
export interface Doubt {
  id: string;
  what: 'twice' | 'unknown';
}

export interface Verdict {
  violations: Violation[];
  doubts: Doubt[];
  /** Accepted by a provider, and the pod died before the record: only messages without a key. */
  unrecorded: string[];
}

interface Case extends Evidence {
  rows: ReadonlyMap<string, JournalRow>;
  rowsOfText: ReadonlyMap<string, readonly JournalRow[]>;
  acceptedIds: Record<ProviderName, ReadonlySet<string>>;
  neverPaid: ReadonlySet<string>;
}

/** Compares the providers, the client and Postgres with each other. The gateways are not asked. */
export function judge(evidence: Evidence): Verdict {
  const { journal, accepted, sent } = evidence;
  const ids = (requests: readonly AcceptedRequest[]): ReadonlySet<string> => new Set(requests.map(({ key }) => key));
  const all: Case = {
    ...evidence,
    rows: new Map(journal.map((row) => [row.id, row])),
    rowsOfText: groupBy(journal, ({ text }) => text),
    acceptedIds: { free: ids(accepted.free), paid: ids(accepted.paid) },
    neverPaid: new Set(sent.flatMap(({ text, isNeverPaid }) => (isNeverPaid ? [text] : []))),
  };
  const acceptedIds = new Set([...all.acceptedIds.free, ...all.acceptedIds.paid]);
  const unrecorded = [...acceptedIds].filter((id) => !all.rows.has(id));
  const violations = [
    ...sent.flatMap((message) => judgeMessage(message, all)),
    ...journal.flatMap((row) => judgeRow(row, all)),
    ...countedTwice(accepted.free),
    ...countedTwice(accepted.paid),
    ...violationIf(unrecorded.length > sent.filter(wasCutOff).length, 'unexplained', unrecorded),
  ];
  return { violations, doubts: journal.flatMap((row) => doubtsOf(row, all)), unrecorded };
}

/** The answers to one message, against the journal and the providers. */
function judgeMessage({ text, answers, outcome }: SentMessage, { rows, rowsOfText, acceptedIds }: Case): Violation[] {
  const successes = answers.filter(({ status }) => status === 200 || status === 202);
  const answeredIds = [...new Set(successes.map(({ id = 'none' }) => id))];
  const own = rowsOfText.get(text) ?? [];
  const deliveredIds = own.map(({ id }) => id).filter((id) => acceptedIds.free.has(id) || acceptedIds.paid.has(id));
  const isRecorded = ({ status, id = '', provider }: (typeof successes)[number]): boolean => {
    const row = rows.get(id);
    return row?.text === text && (status === 202 || (row.status === 'delivered' && row.provider === provider));
  };
  const isLost = successes.some(({ status, id = '' }) => status === 202 && !endedWell(rows.get(id)));
  const isTwice = Math.max(deliveredIds.length, answeredIds.length) > 1;
  return [
    ...violationIf(!successes.every(isRecorded), 'not recorded', answeredIds, text),
    ...violationIf(isLost, 'lost', answeredIds, text),
    ...violationIf(isTwice, 'twice', [...new Set([...answeredIds, ...deliveredIds])], text),
    ...violationIf(outcome === 403 && deliveredIds.length > 0, 'denied', deliveredIds, text),
  ];
}

/** One journal row, against the providers. */
function judgeRow({ id, status, provider, text, hops }: JournalRow, { acceptedIds, neverPaid }: Case): Violation[] {
  const [isFree, isPaid] = [acceptedIds.free.has(id), acceptedIds.paid.has(id)];
  const isAccepted = provider === 'free' ? isFree : isPaid;
  const isDenied = ['failed', 'expired', 'cancelled'].includes(status) && (isFree || isPaid);
  return [
    ...violationIf(status === 'waiting' || status === 'sending', 'unfinished', [id], text),
    ...violationIf(status === 'delivered' && !isAccepted, 'not accepted', [id], text),
    ...violationIf(isDenied, 'denied', [id], text),
    ...violationIf(isFree && isPaid && !hasUnknownOutcome(hops), 'twice', [id], text),
    ...violationIf(isPaid && neverPaid.has(text), 'paid against its will', [id], text),
  ];
}

function doubtsOf({ id, status, hops }: JournalRow, { acceptedIds }: Case): Doubt[] {
  const isTwice = acceptedIds.free.has(id) && acceptedIds.paid.has(id) && hasUnknownOutcome(hops);
  return [
    ...(isTwice ? [{ id, what: 'twice' } as const] : []),
    ...(status === 'unknown' ? [{ id, what: 'unknown' } as const] : []),
  ];
}

/** The reference providers honour keys, so that a key is counted once. */
function countedTwice(requests: readonly AcceptedRequest[]): Violation[] {
  return [...groupBy(requests, ({ key }) => key)].flatMap(([key, { length }]) =>
    violationIf(length > 1, 'twice', [key]),
  );
}

function endedWell(row: JournalRow | undefined): boolean {
  if (row?.status === 'expired') return row.reason !== null;
  if (row?.status === 'unknown') return row.hops.some(({ step }) => step === 'sending');
  return row?.status === 'delivered';
}

/** A send without an answer. */
function hasUnknownOutcome(hops: readonly Hop[]): boolean {
  return hops.some(
    ({ step, outcome }, index) => outcome === 'unknown' || (step === 'sending' && hops[index + 1]?.step !== 'answered'),
  );
}

/** The client got no answer, or an answer that the message could not be recorded. With a key the record comes first. */
function wasCutOff({ key, answers }: SentMessage): boolean {
  return key === undefined && answers.some(({ status }) => status === 'broken' || status === 503);
}

function violationIf(isViolated: boolean, goal: Goal, ids: string[], text?: string): Violation[] {
  return isViolated ? [{ goal, ids, text }] : [];
}

function groupBy<Item>(items: readonly Item[], nameOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const group = groups.get(nameOf(item));
    if (group === undefined) groups.set(nameOf(item), [item]);
    else group.push(item);
  }
  return groups;
}
