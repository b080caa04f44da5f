import { describe, expect, it } from '@jest/globals';
import { STEP_SCRIPTS } from '../src/store/quota-store.js';
import { firstBroken } from './first-broken.js';
import { CALM, FAILING_OVER, LOSSY, type PolicyCase, planOf, STORMY, type World } from './plan.js';

/** One change of the script, and the policy and world in which it breaks a promise. */
interface Mutant {
  /** Which of the invariants of docs/quota.md it breaks. */
  breaks: string;
  that: string;
  policy?: PolicyCase;
  world?: World;
  from: string;
  to: string;
}

const MUTANTS: Mutant[] = [
  {
    breaks: '1 no more than the limit',
    that: 'grants without looking',
    from: 'granted = math.min(want, grantable())',
    to: 'granted = want',
  },
  {
    breaks: '1 no more than the limit',
    that: 'gives unknowns back',
    world: STORMY,
    from: 'function policy.used() return q.granted - q.refunded end',
    to: 'function policy.used() return q.granted - q.refunded - q.unknown end',
  },
  {
    breaks: '1 no more than the limit',
    that: 'does not count what is on its way',
    policy: 'sliding-window',
    from: 'local count = outstanding()',
    to: 'local count = 0',
  },
  {
    breaks: '1 no more than the limit',
    that: 'has a token more than the bucket',
    policy: 'token-bucket',
    from: 'math.floor((limit * tokenMs',
    to: 'math.floor(((limit + 1) * tokenMs',
  },
  {
    breaks: '2 no refusal',
    that: 'takes what may be of the next window for one of this',
    policy: 'fixed-window by the clock',
    from: 'turn(isPast and 0 or q.carried)',
    to: 'turn(0)',
  },
  {
    breaks: '2 no refusal',
    that: 'counts what it grants at a boundary on one side of it',
    policy: 'fixed-window by the clock',
    from: 'if q.isEnding == 1 then q.carried = q.carried + count end',
    to: '',
  },
  {
    breaks: '2 no refusal',
    that: 'takes what is on its way for what never arrived',
    policy: 'fixed-window by the clock',
    from: 'and q.toldMs >= lastUnknownMs() then',
    to: 'and q.toldMs > 0 then',
  },
  {
    breaks: '2 no refusal',
    that: 'takes those who say nothing for counted by those who say what remains',
    policy: 'fixed-window by the clock',
    from: 'q.accepted - q.untold + q.unknown - counted',
    to: 'q.accepted + q.unknown - counted',
  },
  {
    breaks: '2 no refusal',
    that: 'trusts two clocks to agree',
    policy: 'fixed-window by the clock',
    from: 'q.beganMinMs, q.beganMaxMs = beganMs - option, beganMs + option',
    to: 'q.beganMinMs, q.beganMaxMs = beganMs, beganMs',
  },
  {
    breaks: '2 no refusal',
    that: 'frees a slot when its request was sent',
    policy: 'sliding-window',
    from: 'math.ceil((usedAtMs + closedMs)',
    to: 'math.ceil((usedAtMs + periodMs - 60)',
  },
  {
    breaks: '2 no refusal',
    that: 'counts tokens from when they were asked for',
    policy: 'token-bucket',
    from: 'math.max(q.fullMs, atMs) + count',
    to: 'math.max(q.fullMs, atMs - 60) + count',
  },
  {
    breaks: '2 one refusal per unknown',
    that: 'sends at full speed after unknowns',
    world: STORMY,
    from: 'if q.refused > 0 then doubt = q.isSooner end',
    to: 'doubt = 0',
  },
  {
    breaks: '2 one refusal per unknown',
    that: 'sends more than one probe',
    policy: 'count-then-block from the first refusal',
    from: 'and limit + 1 or limit end',
    to: 'and limit + 2 or limit end',
  },
  {
    breaks: '2 one refusal per unknown',
    that: 'believes that unknowns never arrived',
    world: LOSSY,
    from: 'math.min(q.unknown, q.accepted - q.untold + q.unknown - counted)',
    to: 'q.unknown',
  },
  {
    breaks: '4 nothing inside the block',
    that: 'leaves out the guard',
    from: 'local closedMs = periodMs + guardMs',
    to: 'local closedMs = periodMs',
  },
  {
    breaks: '4 nothing inside the block',
    that: 'counts the block from before the last answer',
    from: 'math.max(q.lastAnswerMs, s.answeredMs)',
    to: 's.answeredMs - 40',
  },
  {
    breaks: '4 nothing inside the block',
    that: 'closes the window with requests on their way',
    from: 'policy.used() >= limit and outstanding() == 0',
    to: 'policy.used() >= limit',
  },
  {
    breaks: '4 nothing inside the block',
    that: 'reopens half-way',
    from: 'if q.blockedUntilMs > 0 and now >= q.blockedUntilMs and',
    to: 'if q.blockedUntilMs > 0 and now >= q.blockedUntilMs - closedMs / 2 and',
  },
  {
    breaks: '5 twice is once',
    that: 'applies a repeated step again',
    from: 'local repeated = lastSeq and',
    to: 'local repeated = false and',
  },
  {
    breaks: '5 an older epoch changes nothing',
    that: 'credits settlements of older epochs',
    world: STORMY,
    from: 'if s.epoch ~= q.epoch then',
    to: 'if false then',
  },
  {
    breaks: '5 twice is once',
    that: 'takes a late settlement for one on its way',
    world: STORMY,
    from: 'isGivenUp = number(1) < q.generation - 1',
    to: 'isGivenUp = false',
  },
  {
    breaks: '6 epochs never go back',
    that: 'loses the epoch it has forgotten',
    world: STORMY,
    from: 'start(math.max(knownEpoch + 1, q.epoch + 1, now))',
    to: 'start(1)',
  },
  {
    breaks: '6 blocks never get shorter',
    that: 'lets the clock run backwards',
    from: 'if now < q.clockMs then',
    to: 'if false then',
  },
  {
    breaks: '6 a forgotten count is not fresh',
    that: 'takes a forgotten count for a fresh one',
    world: STORMY,
    from: 'if not isFirst then policy.forget() end',
    to: '',
  },
  {
    breaks: '6 through failover',
    that: 'takes a replica for the master it was copied from',
    policy: 'sliding-window',
    world: FAILING_OVER,
    from: 'local isOlder = knownEpoch > q.epoch or knownEpoch == q.epoch and recordedSeq > tonumber(lastSeq or 0)',
    to: 'local isOlder = knownEpoch > q.epoch',
  },
  {
    breaks: "7 pods' clocks change nothing",
    that: 'takes how old an answer is for when it came',
    from: 'answeredMs = now - number(6)',
    to: 'answeredMs = number(6)',
  },
  {
    breaks: '9 all are used',
    that: 'forgets to give slots back',
    from: 'q.refunded + s.notSent',
    to: 'q.refunded',
  },
  {
    breaks: '9 it opens when the provider does',
    that: 'waits twice as long',
    from: 'q.blockedUntilMs = math.max(q.lastAnswerMs + closedMs, q.saidUntilMs)',
    to: 'q.blockedUntilMs = math.max(q.lastAnswerMs + 2 * closedMs, q.saidUntilMs)',
  },
  {
    breaks: '10 the permits of the dead',
    that: 'never gives up the permits of the dead',
    world: STORMY,
    from: 'if outstanding() > 0 and now >= q.agesMs then',
    to: 'if false then',
  },
  {
    breaks: '10 the permits of the dead',
    that: 'gives them up only when nobody else comes for a while',
    policy: 'sliding-window',
    world: STORMY,
    from: 'if outstanding() > 0 and now >= q.agesMs then',
    to: 'if outstanding() > 0 and now >= q.expiresMs then',
  },
  {
    breaks: '6 through failover',
    that: 'does not know which steps it holds when they were repeated',
    world: FAILING_OVER,
    from: 'local isRecorded = repeated and seq == tonumber(lastSeq) or changed and not repeated',
    to: 'local isRecorded = changed and not repeated',
  },
];

/** Some take hundreds of plans until one breaks, on a busy machine for minutes. */
const SEARCH_MS = 600_000;

describe('a broken engine is caught', () => {
  it.each(MUTANTS)(
    '$breaks: that $that',
    async ({ policy = 'count-then-block', world = CALM, from, to }) => {
      const script = STEP_SCRIPTS[policyNameOf(policy)];
      expect(script.split(from).length - 1).toBe(1);
      const scripts = { ...STEP_SCRIPTS, [policyNameOf(policy)]: script.replace(from, () => to) };
      expect(await firstBroken(planOf(policy, world), { scripts, runs: 2_000, seed: 3 })).toContain('BrokenPromise');
    },
    SEARCH_MS,
  );
});

function policyNameOf(policy: PolicyCase): keyof typeof STEP_SCRIPTS {
  return policy.replace(/ .*/, '') as keyof typeof STEP_SCRIPTS;
}
