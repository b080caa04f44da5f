import { describe, expect, it } from '@jest/globals';
import type { Hop } from '#contracts';
import type { Answer } from '../poster.js';
import type { SentMessage } from './client.js';
import type { JournalRow } from '../journal.js';
import { type Evidence, judge } from './judge.js';

const AT = '2026-11-20T12:00:00.000Z';
const hop = (step: Hop['step'], but: Partial<Hop> = {}): Hop => ({ at: AT, pod: 'pod', step, ...but });
const accepted = (...keys: string[]) => keys.map((key) => ({ key, acceptedAt: AT }));

function sent(answer: Partial<Answer>, but: Partial<SentMessage> = {}): SentMessage {
  const answers = [{ atMs: 0, status: 200, id: 'a', provider: 'free', ...answer }];
  return {
    kind: 'plain',
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

/** One message, delivered free, of which everybody says the same. */
function judged(but: { sent?: SentMessage[]; journal?: JournalRow[]; free?: string[]; paid?: string[] } = {}) {
  const evidence: Evidence = {
    sent: but.sent ?? [sent({})],
    journal: but.journal ?? [row()],
    accepted: { free: accepted(...(but.free ?? ['a'])), paid: accepted(...(but.paid ?? [])) },
    freeStats: { accepted: 1, refused: 0, windows: [] },
  };
  const { offences, ...rest } = judge(evidence);
  return { goals: offences.map(({ goal }) => goal), ...rest };
}

const UNANSWERED = [hop('sending', { provider: 'free' }), hop('taken_over'), hop('waiting')];

describe('judge', () => {
  it('has nothing to say when everybody says the same', () => {
    expect(judged()).toEqual({ goals: [], doubts: [], unrecorded: [] });
  });

  it.each([
    ['is not there', []],
    ['names another provider', [row({ provider: 'paid' })]],
    ['is of another text', [row({ text: 'other' })]],
    ['says it waits', [row({ status: 'waiting' })]],
  ])('misses what a client was told when the journal %s', (_what, journal) => {
    expect(judged({ journal }).goals).toContain('not recorded');
  });

  it.each([
    ['failed', row({ status: 'failed', reason: 'unavailable' })],
    ['expired without a reason', row({ status: 'expired' })],
    ['unknown without having been sent', row({ status: 'unknown', hops: [hop('accepted')] })],
    ['never ended', row({ status: 'sending' })],
  ])('calls an accepted message lost that %s', (_what, ended) => {
    const { goals } = judged({ sent: [sent({ status: 202 })], journal: [ended], free: [] });
    expect(goals).toContain('lost');
  });

  it.each([row({ status: 'expired', reason: 'deadline_missed' }), row({ status: 'unknown', hops: UNANSWERED })])(
    'lets an accepted message end as $status',
    (ended) => {
      expect(judged({ sent: [sent({ status: 202 })], journal: [ended], free: [] }).goals).toEqual([]);
    },
  );

  it('finds what nobody finished, whoever knows of it', () => {
    expect(judged({ sent: [], journal: [row({ status: 'sending' })], free: [] }).goals).toEqual(['unfinished']);
  });

  it('finds what one provider counted twice', () => {
    expect(judged({ free: ['a', 'a'] }).goals).toEqual(['twice']);
  });

  it('finds what both accepted though the first had answered', () => {
    expect(judged({ paid: ['a'] }).goals).toEqual(['twice']);
  });

  it('lists what both accepted after no answer came', () => {
    const { goals, doubts } = judged({ journal: [row({ hops: UNANSWERED })], paid: ['a'] });
    expect({ goals, doubts }).toEqual({ goals: [], doubts: [{ id: 'a', what: 'twice' }] });
  });

  it('finds a repeated call that made another message', () => {
    const { goals } = judged({ journal: [row(), row({ id: 'b' })], free: ['a', 'b'] });
    expect(goals).toEqual(['twice']);
  });

  it('finds what the journal calls delivered and nobody accepted', () => {
    expect(judged({ free: [], paid: ['a'] }).goals).toEqual(['not accepted']);
  });

  it('finds what was delivered though its sender was refused, or the journal says expired', () => {
    expect(judged({ sent: [sent({ status: 403 })] }).goals).toEqual(['denied']);
    expect(judged({ sent: [], journal: [row({ status: 'expired', reason: 'x' })] }).goals).toEqual(['denied']);
  });

  it('finds what was paid for against its will', () => {
    const journal = [row({ provider: 'paid' })];
    const own = [sent({ provider: 'paid' }, { isNeverPaid: true })];
    expect(judged({ sent: own, journal, free: [], paid: ['a'] }).goals).toEqual(['paid against its will']);
  });

  it('allows no more messages outside the journal than calls without a key that were cut off', () => {
    const cutOff = sent({ status: 'broken' });
    expect(judged({ sent: [cutOff], journal: [] })).toEqual({ goals: [], doubts: [], unrecorded: ['a'] });
    expect(judged({ sent: [cutOff], journal: [], paid: ['b'] }).goals).toEqual(['unexplained']);
    expect(judged({ sent: [{ ...cutOff, key: 'k' }], journal: [] }).goals).toEqual(['unexplained']);
  });
});
