import type { LimitedPolicy } from '../src/policy.js';

export interface Decision {
  accepted: boolean;
  /** Requests left after this one. */
  remaining: number;
  /** Until the window ends or a request becomes available; undefined where neither is to come. */
  resetMs: number | undefined;
}

interface Verdict {
  accepted: boolean;
  /** A refusal that starts the block: one request per window must meet it. */
  isProbe?: boolean;
}

/** How a provider counts, on its own clock. */
interface Counter {
  decide: (nowMs: number) => Verdict;
  remaining: (nowMs: number) => number;
  /** When the next request would be accepted: now or later. */
  opensAtMs: (nowMs: number) => number;
  /** When the current window ends; Infinity if no time ends it. */
  endsAtMs?: () => number;
}

interface Clock {
  /** How much longer a second of the provider's clock is than a true one; quartz stays within ±1e-4. */
  drift: number;
  /** How far the provider's clock is ahead, for windows that follow the clock. */
  skewMs: number;
}

/** The judge of every model run. It counts in code of its own, and shares none with the engine or the reference provider. */
export class SimulatedProvider {
  /** One entry per request, in order of arrival. */
  readonly log: (Verdict & { atMs: number; isForeign: boolean })[] = [];
  private readonly counter: Counter;

  constructor(policy: LimitedPolicy, clock: Clock) {
    this.counter = counterOf(policy, clock);
  }

  get refusals(): number {
    return this.log.filter(({ accepted, isProbe, isForeign }) => !accepted && !isProbe && !isForeign).length;
  }

  get accepted(): number {
    return this.log.filter(({ accepted, isForeign }) => accepted && !isForeign).length;
  }

  /** Decides when the request arrives. */
  decide(nowMs: number, { isForeign = false } = {}): Decision {
    const verdict = this.counter.decide(nowMs);
    this.log.push({ ...verdict, atMs: nowMs, isForeign });
    const resetAtMs = this.counter.endsAtMs?.() ?? this.counter.opensAtMs(nowMs);
    const resetMs = resetAtMs > nowMs && resetAtMs < Infinity ? resetAtMs - nowMs : undefined;
    return { accepted: verdict.accepted, remaining: this.counter.remaining(nowMs), resetMs };
  }

  opensAtMs(nowMs: number): number {
    return this.counter.opensAtMs(nowMs);
  }
}

function counterOf(policy: LimitedPolicy, { drift, skewMs }: Clock): Counter {
  const pace = 1 + drift;
  if (policy.policy === 'token-bucket') return tokenBucket(policy.capacity, (1_000 / policy.refillPerSecond) * pace);
  if (policy.policy === 'sliding-window') return slidingWindow(policy.limit, Math.ceil(policy.windowMs * pace));
  if (policy.policy === 'count-then-block') {
    const blockMs = Math.ceil(policy.blockMs * pace);
    return windows({ limit: policy.limit, starts: policy.startsAt, endOf: (nowMs) => nowMs + blockMs });
  }
  if (policy.policy === 'concurrency' || 'every' in policy) throw new TypeError(`no simulation of ${policy.policy}`);
  const windowMs = policy.anchor === 'clock' ? policy.windowMs : Math.ceil(policy.windowMs * pace);
  const boundary = (nowMs: number): number => (Math.floor((nowMs + skewMs) / windowMs) + 1) * windowMs - skewMs;
  const endOf = policy.anchor === 'clock' ? boundary : (nowMs: number) => nowMs + windowMs;
  return windows({ limit: policy.limit, starts: 'first-accept', endOf });
}

interface Windows {
  limit: number;
  /** The request from which the end of the window is counted. */
  starts: 'first-accept' | 'last-accept' | 'first-refusal';
  endOf: (startsAtMs: number) => number;
}

/** Fixed windows, and blocks: the end of either makes all slots free again. */
function windows({ limit, starts, endOf }: Windows): Counter {
  let used = 0;
  let endsMs = Infinity;
  const turn = (nowMs: number): void => {
    if (nowMs >= endsMs) [used, endsMs] = [0, Infinity];
  };
  return {
    decide: (nowMs) => {
      turn(nowMs);
      const accepted = used < limit;
      const isProbe = !accepted && endsMs === Infinity;
      if (accepted) used += 1;
      const isStart = { 'first-accept': accepted, 'last-accept': used === limit, 'first-refusal': isProbe }[starts];
      if (isStart && endsMs === Infinity) endsMs = endOf(nowMs);
      return { accepted, isProbe };
    },
    remaining: (nowMs) => (turn(nowMs), limit - used),
    opensAtMs: (nowMs) => (used === limit && endsMs < Infinity ? Math.max(nowMs, endsMs) : nowMs),
    endsAtMs: () => endsMs,
  };
}

function slidingWindow(limit: number, windowMs: number): Counter {
  let accepts: number[] = [];
  const inWindow = (nowMs: number): number[] => (accepts = accepts.filter((atMs) => atMs + windowMs > nowMs));
  return {
    decide: (nowMs) => {
      const accepted = inWindow(nowMs).length < limit;
      if (accepted) accepts.push(nowMs);
      return { accepted };
    },
    remaining: (nowMs) => limit - inWindow(nowMs).length,
    opensAtMs: (nowMs) => (inWindow(nowMs).length === limit ? (accepts[0] ?? 0) + windowMs : nowMs),
  };
}

function tokenBucket(capacity: number, tokenMs: number): Counter {
  let tokens = capacity;
  let countedAtMs = 0;
  const tokensAt = (nowMs: number): number => Math.min(capacity, tokens + (nowMs - countedAtMs) / tokenMs);
  return {
    decide: (nowMs) => {
      tokens = tokensAt(nowMs);
      countedAtMs = nowMs;
      // The tolerance is for floating-point rounding.
      const accepted = tokens >= 1 - 1e-9;
      if (accepted) tokens -= 1;
      return { accepted };
    },
    remaining: (nowMs) => Math.floor(tokensAt(nowMs) + 1e-9),
    opensAtMs: (nowMs) => nowMs + Math.max(0, 1 - tokensAt(nowMs)) * tokenMs,
  };
}
