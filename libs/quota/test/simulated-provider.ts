import type { LimitedPolicy } from '../src/policy.js';

export interface Decision {
  accepted: boolean;
  /** Requests left after this one. */
  remaining: number;
  /** Until its window ends, or more are left; undefined where nothing is to come. */
  resetMs: number | undefined;
}

interface Verdict {
  accepted: boolean;
  /** A refusal that begins the block: somebody has to run into it. */
  isInherent?: boolean;
}

interface Admission {
  decide: (nowMs: number) => Verdict;
  remaining: (nowMs: number) => number;
  /** When the next request would be accepted: now or later. */
  opensAtMs: (nowMs: number) => number;
  /** When its window ends, if it has one that ends by time. */
  endsAtMs?: () => number;
}

/** A provider that counts for itself, by a clock of its own: the judge of every model run. */
export class SimulatedProvider {
  /** One entry per request, in order of arrival. */
  readonly log: (Verdict & { atMs: number; isForeign: boolean })[] = [];
  private readonly admission: Admission;

  constructor(
    policy: LimitedPolicy,
    {
      drift,
      skewMs,
    }: {
      /** How much longer a second of the provider's clock is than a true one; quartz stays within ±1e-4. */
      drift: number;
      /** How far its clock is ahead, for windows that follow the clock. */
      skewMs: number;
    },
  ) {
    this.admission = admissionOf(policy, 1 + drift, skewMs);
  }

  get refusals(): number {
    return this.log.filter(({ accepted, isInherent, isForeign }) => !accepted && !isInherent && !isForeign).length;
  }

  get accepted(): number {
    return this.log.filter(({ accepted, isForeign }) => accepted && !isForeign).length;
  }

  /** Decides at arrival, as the real one does. */
  decide(nowMs: number, { isForeign = false } = {}): Decision {
    const verdict = this.admission.decide(nowMs);
    this.log.push({ ...verdict, atMs: nowMs, isForeign });
    const resetsAtMs = this.admission.endsAtMs?.() ?? this.admission.opensAtMs(nowMs);
    return {
      accepted: verdict.accepted,
      remaining: this.admission.remaining(nowMs),
      resetMs: resetsAtMs > nowMs ? resetsAtMs - nowMs : undefined,
    };
  }

  opensAtMs(nowMs: number): number {
    return this.admission.opensAtMs(nowMs);
  }
}

function admissionOf(policy: LimitedPolicy, pace: number, skewMs: number): Admission {
  if (policy.policy === 'token-bucket') return tokenBucket(policy.capacity, (1_000 / policy.refillPerSecond) * pace);
  if (policy.policy === 'count-then-block') {
    return countThenBlock(policy.limit, Math.ceil(policy.blockMs * pace), policy.startsAt === 'first-refusal');
  }
  const windowMs = Math.ceil(policy.windowMs * pace);
  if (policy.policy === 'sliding-window') return slidingWindow(policy.limit, windowMs);
  if (policy.anchor === 'clock') return clockWindow(policy.limit, policy.windowMs, skewMs);
  return fixedWindow(policy.limit, windowMs);
}

function countThenBlock(limit: number, blockMs: number, startsAtRefusal: boolean): Admission {
  let used = 0;
  let blockedUntilMs: number | undefined;
  const open = (nowMs: number): void => {
    if (blockedUntilMs === undefined || nowMs < blockedUntilMs) return;
    blockedUntilMs = undefined;
    used = 0;
  };
  return {
    decide: (nowMs) => {
      open(nowMs);
      if (blockedUntilMs !== undefined) return { accepted: false };
      if (used === limit) {
        blockedUntilMs = nowMs + blockMs;
        return { accepted: false, isInherent: true };
      }
      used += 1;
      if (used === limit && !startsAtRefusal) blockedUntilMs = nowMs + blockMs;
      return { accepted: true };
    },
    remaining: (nowMs) => (blockedUntilMs !== undefined && nowMs < blockedUntilMs ? 0 : limit - used),
    opensAtMs: (nowMs) => Math.max(nowMs, blockedUntilMs ?? 0),
  };
}

function fixedWindow(limit: number, windowMs: number): Admission {
  let used = 0;
  let endsMs = 0;
  return {
    decide: (nowMs) => {
      if (nowMs >= endsMs) {
        used = 0;
        endsMs = nowMs + windowMs;
      }
      if (used === limit) return { accepted: false };
      used += 1;
      return { accepted: true };
    },
    remaining: (nowMs) => (nowMs < endsMs ? limit - used : limit),
    opensAtMs: (nowMs) => (used === limit ? Math.max(nowMs, endsMs) : nowMs),
    endsAtMs: () => endsMs,
  };
}

function clockWindow(limit: number, windowMs: number, skewMs: number): Admission {
  let used = 0;
  let window = 0;
  const windowAt = (nowMs: number): number => Math.floor((nowMs + skewMs) / windowMs);
  return {
    decide: (nowMs) => {
      if (windowAt(nowMs) > window) used = 0;
      window = windowAt(nowMs);
      if (used === limit) return { accepted: false };
      used += 1;
      return { accepted: true };
    },
    remaining: () => limit - used,
    opensAtMs: (nowMs) => (used === limit ? Math.max(nowMs, (window + 1) * windowMs - skewMs) : nowMs),
    endsAtMs: () => (window + 1) * windowMs - skewMs,
  };
}

function slidingWindow(limit: number, windowMs: number): Admission {
  let accepts: number[] = [];
  const inWindow = (nowMs: number): number[] => (accepts = accepts.filter((atMs) => atMs + windowMs > nowMs));
  return {
    decide: (nowMs) => {
      if (inWindow(nowMs).length === limit) return { accepted: false };
      accepts.push(nowMs);
      return { accepted: true };
    },
    remaining: (nowMs) => limit - inWindow(nowMs).length,
    opensAtMs: (nowMs) => (inWindow(nowMs).length === limit ? (accepts[0] ?? 0) + windowMs : nowMs),
  };
}

function tokenBucket(capacity: number, tokenMs: number): Admission {
  let tokens = capacity;
  let countedAtMs = 0;
  const tokensAt = (nowMs: number): number => Math.min(capacity, tokens + (nowMs - countedAtMs) / tokenMs);
  return {
    decide: (nowMs) => {
      tokens = tokensAt(nowMs);
      countedAtMs = nowMs;
      // What is left of a token is a matter of rounding.
      if (tokens < 1 - 1e-9) return { accepted: false };
      tokens -= 1;
      return { accepted: true };
    },
    remaining: (nowMs) => Math.floor(tokensAt(nowMs) + 1e-9),
    opensAtMs: (nowMs) => nowMs + Math.max(0, 1 - tokensAt(nowMs)) * tokenMs,
  };
}
