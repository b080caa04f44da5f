import { expect, it } from '@jest/globals';
import type { Hop } from '#contracts';
import type { JournalRow } from '../../testbed/journal.js';
import type { Answer } from '../poster.js';
import type { SentMessage } from './client.js';
import { judge } from './verdict.js';

const AT = '2026-11-20T12:00:00.000Z';
const hop = (step: Hop['step'], but: Partial<Hop> = {}): Hop => ({ at: AT, pod: 'pod', step, ...but });
const accepted = (ids: string[]) => ids.map((key) => ({ key, acceptedAt: AT }));

function sent(answer: Partial<Answer>, but: Partial<SentMessage> = {}): SentMessage {
  const answers = [{ atMs: 0, status: 200, id: 'a', provider: 'free', ...answer }];
  return {
    atMs: 0,
    text: 'one',
    key: undefined,
    isAsync: false,
    deliverInMs: undefined,
    isNeverPaid: false,
    isRepeated: false,
    answers,
    outcome: answers[0]?.status ?? 'broken',
    ...but,
  };
}

function row(but: Partial<JournalRow> = {}): JournalRow {
  return {
    id: 'a',
    status: 'delivered',
    provider: 'free',
    text: 'one',
    reason: null,
    deliver_by: null,
    finished_at: new Date(AT),
    hops: [hop('accepted'), hop('sending', { provider: 'free' }), hop('answered', { outcome: 'delivered' })],
    ...but,
  };
}

interface Case {
  sent?: SentMessage[];
  journal?: JournalRow[];
  free?: string[];
  paid?: string[];
}

/** Without changes: one message, delivered free, and all witnesses agree. */
function judged({ sent: messages = [sent({})], journal = [row()], free = ['a'], paid = [] }: Case = {}) {
  const { violations, ...rest } = judge({
    sent: messages,
    journal,
    accepted: { free: accepted(free), paid: accepted(paid) },
    freeStats: { accepted: 1, refused: 0, windows: [] },
  });
  return { goals: violations.map(({ goal }) => goal), ...rest };
}

const UNANSWERED = [hop('sending', { provider: 'free' }), hop('taken_over'), hop('waiting')];
const EXPIRED = row({ status: 'expired', reason: 'deadline_missed' });
const CUT_OFF = sent({ status: 'broken' });

it('judge finds nothing when all witnesses agree', () => {
  expect(judged()).toEqual({ goals: [], doubts: [], unrecorded: [] });
});

it.each<[string, string, Case]>([
  ['an answered message without a row', 'not recorded', { journal: [] }],
  ['a row with another provider', 'not recorded', { journal: [row({ provider: 'paid' })] }],
  ['a row with another text', 'not recorded', { journal: [row({ text: 'other' })] }],
  ['a row that still waits', 'not recorded', { journal: [row({ status: 'waiting' })] }],
  ['an accepted message that failed', 'lost', { journal: [row({ status: 'failed', reason: 'unavailable' })] }],
  ['an accepted message that expired without a reason', 'lost', { journal: [row({ status: 'expired' })] }],
  ['an unknown message that was never sent', 'lost', { journal: [row({ status: 'unknown', hops: [] })] }],
  ['an accepted message still in flight', 'lost', { journal: [row({ status: 'sending' })] }],
])('judge finds %s to be %s', (_what, goal, changes) => {
  const own = goal === 'lost' ? { sent: [sent({ status: 202 })], free: [] } : {};
  expect(judged({ ...own, ...changes }).goals).toContain(goal);
});

it.each([EXPIRED, row({ status: 'unknown', hops: UNANSWERED })])(
  'judge lets an accepted message end as $status',
  (ended) => {
    expect(judged({ sent: [sent({ status: 202 })], journal: [ended], free: [] }).goals).toEqual([]);
  },
);

it.each<[string, string, Case]>([
  [
    'an unfinished message without a client',
    'unfinished',
    { sent: [], journal: [row({ status: 'sending' })], free: [] },
  ],
  ['a message that one provider counted twice', 'twice', { free: ['a', 'a'] }],
  ['a message that both accepted though the first one answered', 'twice', { paid: ['a'] }],
  ['a repeated call that made a second message', 'twice', { journal: [row(), row({ id: 'b' })], free: ['a', 'b'] }],
  ['a delivery that its provider did not accept', 'not accepted', { free: [], paid: ['a'] }],
  ['a delivery after the client was refused', 'denied', { sent: [sent({ status: 403 })] }],
  ['a delivery that the journal calls expired', 'denied', { sent: [], journal: [EXPIRED] }],
  ['an id without a row', 'unexplained', { sent: [CUT_OFF], journal: [], paid: ['b'] }],
  [
    'an id without a row although its client sent a key',
    'unexplained',
    { sent: [{ ...CUT_OFF, key: 'k' }], journal: [] },
  ],
])('judge finds %s to be %s', (_what, goal, changes) => {
  expect(judged(changes).goals).toEqual([goal]);
});

it('judge finds a payment for a message that must not cost anything', () => {
  const own = [sent({ provider: 'paid' }, { isNeverPaid: true })];
  const { goals } = judged({ sent: own, journal: [row({ provider: 'paid' })], free: [], paid: ['a'] });
  expect(goals).toEqual(['paid against its will']);
});

it('judge calls a message that both accepted after an unknown outcome a doubt', () => {
  const { goals, doubts } = judged({ journal: [row({ hops: UNANSWERED })], paid: ['a'] });
  expect({ goals, doubts }).toEqual({ goals: [], doubts: [{ id: 'a', what: 'twice' }] });
});

it('judge allows one message without a row for each call without a key that was cut off', () => {
  expect(judged({ sent: [CUT_OFF], journal: [] })).toEqual({ goals: [], doubts: [], unrecorded: ['a'] });
});
