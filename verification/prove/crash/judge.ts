import type { AcceptedRequest, Hop, ProviderStats } from '#contracts';
import type { SentMessage } from './client.js';
import type { JournalRow } from '../journal.js';

/** What everybody says of a run. */
export interface Evidence {
  /** The client's own notes. */
  sent: readonly SentMessage[];
  /** As it is in Postgres. */
  journal: readonly JournalRow[];
  /** The providers' own logs. */
  accepted: Record<ProviderName, readonly AcceptedRequest[]>;
  freeStats: ProviderStats;
}
type ProviderName = 'free' | 'paid';

export const GOALS = {
  'not recorded': 'a client was told of a message that the journal does not hold, or not like that',
  lost: 'an accepted message did not end as delivered, expired or unknown',
  unfinished: 'nobody works on a message that is not over',
  twice: 'a message was accepted twice, and nothing in its journal says that this could be',
  'not accepted': 'the journal says delivered, and that provider never accepted it',
  denied: 'the sender or the journal was told that it was not delivered, and it was',
  'paid against its will': 'a message that must not cost anything was paid for',
  unexplained: 'providers accepted messages that no journal holds, more than there were calls cut off',
} as const;
export type Goal = keyof typeof GOALS;

export interface Offence {
  goal: Goal;
  text?: string | undefined;
  ids: string[];
}

export interface Doubt {
  id: string;
  /** Accepted by both providers, or ended as unknown. */
  what: 'twice' | 'unknown';
}

export interface Verdict {
  offences: Offence[];
  doubts: Doubt[];
  /** Accepted by a provider for a client that was cut off, before anything was written: those without a key. */
  unrecorded: string[];
}

interface Case extends Evidence {
  rows: ReadonlyMap<string, JournalRow>;
  rowsOfText: ReadonlyMap<string, readonly JournalRow[]>;
  acceptedIds: Record<ProviderName, ReadonlySet<string>>;
  neverPaid: ReadonlySet<string>;
}

/** Judges by what the providers, the client and Postgres say. */
export function judge(evidence: Evidence): Verdict {
  const { journal, accepted } = evidence;
  const ids = (requests: readonly AcceptedRequest[]): ReadonlySet<string> => new Set(requests.map(({ key }) => key));
  const all: Case = {
    ...evidence,
    rows: new Map(journal.map((row) => [row.id, row])),
    rowsOfText: groupBy(journal, ({ text }) => text),
    acceptedIds: { free: ids(accepted.free), paid: ids(accepted.paid) },
    neverPaid: new Set(evidence.sent.flatMap(({ text, isNeverPaid }) => (isNeverPaid ? [text] : []))),
  };
  const unrecorded = [...new Set([...all.acceptedIds.free, ...all.acceptedIds.paid])].filter((id) => !all.rows.has(id));
  const offences = [
    ...evidence.sent.flatMap((message) => judgeMessage(message, all)),
    ...journal.flatMap((row) => judgeRow(row, all)),
    ...countedTwice(accepted.free),
    ...countedTwice(accepted.paid),
    ...(unrecorded.length > evidence.sent.filter(wasCutOff).length ? [offence('unexplained', unrecorded)] : []),
  ];
  return { offences, doubts: journal.flatMap((row) => doubtsOf(row, all)), unrecorded };
}

/** What its sender was told, against the journal and the providers. */
function judgeMessage({ text, answers, outcome }: SentMessage, { rows, rowsOfText, acceptedIds }: Case): Offence[] {
  const told = answers.filter(({ status }) => status === 200 || status === 202);
  const toldIds = [...new Set(told.map(({ id = 'none' }) => id))];
  const own = rowsOfText.get(text) ?? [];
  const acceptedOnes = own.filter(({ id }) => isAccepted(id, acceptedIds)).map(({ id }) => id);
  const isKept = ({ status, id = '', provider }: (typeof told)[number]): boolean => {
    const row = rows.get(id);
    return row?.text === text && (status === 202 || (row.status === 'delivered' && row.provider === provider));
  };
  const lost = told.filter(({ status, id = '' }) => status === 202 && !endedWell(rows.get(id)));
  return [
    ...(told.every(isKept) ? [] : [offence('not recorded', toldIds, text)]),
    ...(lost.length === 0 ? [] : [offence('lost', toldIds, text)]),
    ...(Math.max(acceptedOnes.length, toldIds.length) < 2
      ? []
      : [offence('twice', [...new Set([...toldIds, ...acceptedOnes])], text)]),
    ...(outcome === 403 && acceptedOnes.length > 0 ? [offence('denied', acceptedOnes, text)] : []),
  ];
}

/** What the journal says of a message, against the providers. */
function judgeRow({ id, status, provider, text, hops }: JournalRow, { acceptedIds, neverPaid }: Case): Offence[] {
  const goals: Goal[] = [];
  const [isFree, isPaid] = [acceptedIds.free.has(id), acceptedIds.paid.has(id)];
  if (status === 'waiting' || status === 'sending') goals.push('unfinished');
  if (status === 'delivered' && !(provider === 'free' ? isFree : isPaid)) goals.push('not accepted');
  if (['failed', 'expired', 'cancelled'].includes(status) && (isFree || isPaid)) goals.push('denied');
  if (isFree && isPaid && !hasDoubt(hops)) goals.push('twice');
  if (isPaid && neverPaid.has(text)) goals.push('paid against its will');
  return goals.map((goal) => offence(goal, [id], text));
}

function doubtsOf({ id, status, hops }: JournalRow, { acceptedIds }: Case): Doubt[] {
  const isTwice = acceptedIds.free.has(id) && acceptedIds.paid.has(id) && hasDoubt(hops);
  return [
    ...(isTwice ? [{ id, what: 'twice' } as const] : []),
    ...(status === 'unknown' ? [{ id, what: 'unknown' } as const] : []),
  ];
}

/** A provider honours keys: one that it counted again was forgotten by it, or it is at fault. */
function countedTwice(requests: readonly AcceptedRequest[]): Offence[] {
  return [...groupBy(requests, ({ key }) => key)].flatMap(([key, { length }]) =>
    length > 1 ? [offence('twice', [key])] : [],
  );
}

function endedWell(row: JournalRow | undefined): boolean {
  if (row?.status === 'expired') return row.reason !== null;
  if (row?.status === 'unknown') return row.hops.some(({ step }) => step === 'sending');
  return row?.status === 'delivered';
}

/** A send of which no answer came. */
function hasDoubt(hops: readonly Hop[]): boolean {
  return hops.some(
    ({ step, outcome }, index) => outcome === 'unknown' || (step === 'sending' && hops[index + 1]?.step !== 'answered'),
  );
}

function isAccepted(id: string, { free, paid }: Case['acceptedIds']): boolean {
  return free.has(id) || paid.has(id);
}

/** Its sender heard nothing of it, or that it could not be recorded; with a key it was recorded before it was sent. */
function wasCutOff({ key, answers }: SentMessage): boolean {
  return key === undefined && answers.some(({ status }) => status === 'broken' || status === 503);
}

function offence(goal: Goal, ids: string[], text?: string): Offence {
  return { goal, ids, text };
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
