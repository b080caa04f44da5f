import type { Attempt } from '#contracts';
import { ProblemException } from '#service';
import type { Denial } from '../delivery/delivery.service.js';
import { attemptsOf, type Message } from '../message.js';
import type { ReachedLimit } from '../money/limits.js';
import type { FieldError } from '../providers/channel.js';

type Sent = Pick<Message, 'id' | 'hops'>;

/** Id and attempts, if a provider was tried. */
function attemptsOfProblem({ id, hops }: Sent): { id?: string; attempts?: Attempt[] } {
  const attempts = attemptsOf(hops);
  return attempts.length === 0 ? {} : { id, attempts };
}

/** Why no provider delivered a message, as the problem its caller gets. */
export function undelivered(
  { id, hops, mayPay }: Pick<Message, 'id' | 'hops' | 'mayPay'>,
  denials: readonly Denial[],
  nowMs: number,
): ProblemException {
  const extra = attemptsOfProblem({ id, hops });
  const { attempts = [] } = extra;
  const tried = attempts.filter(({ outcome }) => outcome !== 'refused');
  const mayBeDelivered = tried.some(({ outcome }) => outcome === 'unknown');
  const overBudget = denials.find((denial) => denial.reason === 'budget');
  if (overBudget !== undefined && !mayBeDelivered) {
    return budgetExhausted(overBudget.limit, { ...extra, retryAfterMs: shortestWait(denials) ?? overBudget.waitMs });
  }
  if (tried.length > 0) return failed(tried, extra);
  if (denials.some(({ reason }) => reason === 'unavailable')) {
    const detail = 'The quota cannot be counted at the moment. Try again.';
    return new ProblemException('unavailable', detail, { ...extra, retryAfterMs: 1_000 });
  }
  if (denials.length > 0 && denials.every(({ reason }) => reason === 'disabled')) {
    const detail = 'An admin has disabled every provider that this message may use.';
    return new ProblemException('unavailable', detail, { ...extra, retryAfterMs: 60_000 });
  }
  const waitMs = shortestWait(denials);
  const overShare = denials.find(({ reason }) => reason === 'share');
  if (overShare !== undefined && waitMs !== undefined) {
    const detail = 'This account has used its share of the free quota. Send again after Retry-After.';
    return new ProblemException('too_many_requests', detail, { ...extra, retryAfterMs: waitMs });
  }
  const unknownBudget = denials.find(({ reason }) => reason === 'budget_unknown');
  if (unknownBudget !== undefined) {
    const detail = 'The budget cannot be counted at the moment, so nothing is paid. Try again.';
    return new ProblemException('unavailable', detail, { ...extra, retryAfterMs: waitMs ?? 1_000 });
  }
  if (mayPay && !denials.some(({ reason }) => reason === 'no_paid_access')) {
    const detail = 'The quota of every provider is used up. Try again when it reopens.';
    return new ProblemException('unavailable', detail, { ...extra, retryAfterMs: waitMs ?? 1_000 });
  }
  if (waitMs === undefined) return paidAccessRequired();
  return new ProblemException(
    'paid_access_required',
    'Send again after Retry-After, or use an account with paid access and do not set "paid" to "never".',
    { ...extra, retryAfterMs: waitMs, freeReopensAt: new Date(nowMs + waitMs).toISOString() },
  );
}

/** A provider says that the message itself is wrong, in its own words. */
export function messageRejected({ id, hops }: Pick<Message, 'id' | 'hops'>, detail: string): ProblemException {
  return new ProblemException('message_rejected', detail, { id, attempts: attemptsOf(hops) });
}

export function unknownChannel(name: string | undefined): ProblemException {
  const what = name === undefined ? 'Name a channel: there are several, and none is the default.' : 'Use another one.';
  const errors = [{ pointer: '/channel', detail: name === undefined ? 'is required' : 'is not a channel' }];
  return new ProblemException('unknown_channel', what, { errors });
}

/** @throws ProblemException `invalid_message`, or `message_too_large`, with every bad field */
export function refuseInvalid(errors: readonly FieldError[]): void {
  if (errors.length === 0) return;
  const code = errors.some(({ isTooLarge }) => isTooLarge) ? 'message_too_large' : 'invalid_message';
  const fields = errors.map(({ pointer, detail }) => ({ pointer, detail }));
  throw new ProblemException(code, fields.map(({ pointer, detail }) => `${pointer} ${detail}`).join('; '), {
    errors: fields,
  });
}

function budgetExhausted(
  { scope, window, limitMicros, resetsAtMs }: ReachedLimit,
  extra: { id?: string; attempts?: Attempt[]; retryAfterMs: number },
): ProblemException {
  const whose = scope === 'account' ? 'This account' : 'This deployment';
  const resetsAt = new Date(resetsAtMs).toISOString();
  const detail = `${whose} may spend ${limitMicros} millionths in a ${window}, and this message would exceed that. The ${window} ends at ${resetsAt}. Free quota may open before: send again after Retry-After, or with deliverBy.`;
  return new ProblemException('budget_exhausted', detail, {
    ...extra,
    budget: { scope, window, limitMicros, resetsAt },
  });
}

/** Every provider of the channel costs money. */
export function paidAccessRequired(): ProblemException {
  return new ProblemException('paid_access_required', 'Every provider costs money, and this message may not use one.');
}

/** Nothing more is sent. */
export function cannotBeRecorded(message: Sent): ProblemException {
  const extra = attemptsOfProblem(message);
  const what = extra.attempts === undefined ? 'was not sent' : 'was not sent again; see its attempts';
  const detail = `The message cannot be recorded at the moment, and ${what}. Try again.`;
  return new ProblemException('unavailable', detail, { ...extra, retryAfterMs: 1_000 });
}

/** The message was delivered. */
export function notRecordedYet(): ProblemException {
  const detail = 'The message was sent, but could not be recorded yet. Look for it later before sending it again.';
  return new ProblemException('unavailable', detail, { retryAfterMs: 5_000 });
}

/** This pod was too slow, and another one works on the message now. */
export function takenOver(message: Sent): ProblemException {
  const extra = { ...attemptsOfProblem(message), retryAfterMs: 1_000 };
  return new ProblemException('unavailable', 'This took too long. Try again.', extra);
}

export function keyReused(): ProblemException {
  return new ProblemException('idempotency_key_reused', 'Use a new Idempotency-Key for another request.');
}

export function deadlineHasPassed(): ProblemException {
  const errors = [{ pointer: '/deliverBy', detail: 'must be in the future' }];
  return new ProblemException('invalid_message', '/deliverBy must be in the future', { errors });
}

function failed(tried: readonly Attempt[], extra: { id?: string; attempts?: Attempt[] }): ProblemException {
  const names = tried.map(({ provider }) => provider).join(', ');
  if (tried.every(({ outcome }) => outcome === 'unknown')) {
    const detail = `No answer came from ${names}; the message may have been delivered all the same.`;
    return new ProblemException('provider_timeout', detail, extra);
  }
  const detail = `Every provider this message may use failed: ${names}. Try again.`;
  return new ProblemException('provider_failed', detail, extra);
}

function shortestWait(denials: readonly Denial[]): number | undefined {
  const waits = denials.flatMap((denial) => (opensBySelf(denial) ? [denial.waitMs] : []));
  return waits.length === 0 ? undefined : Math.min(...waits);
}

/** At a time that is known. */
function opensBySelf(denial: Denial): denial is Extract<Denial, { waitMs: number }> {
  return !['unavailable', 'disabled', 'no_paid_access', 'budget_unknown'].includes(denial.reason);
}
