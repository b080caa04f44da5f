import type { Attempt } from '#contracts';
import type { Reservation } from '#quota';
import { ProblemException } from '#service';

export type Denial = Extract<Reservation, { granted: false }>;

/** Why a message could not be delivered, as the problem its caller is told. */
export function undelivered({
  attempts,
  denials,
  mayPay,
  nowMs,
}: {
  attempts: readonly Attempt[];
  denials: readonly Denial[];
  mayPay: boolean;
  nowMs: number;
}): ProblemException {
  const tried = attempts.filter(({ outcome }) => outcome !== 'refused');
  if (tried.length > 0) return failed(tried);
  if (denials.some(({ reason }) => reason === 'unavailable')) {
    return new ProblemException('unavailable', 'The quota cannot be counted at the moment. Try again.', {
      retryAfterMs: 1_000,
    });
  }
  const waitMs = shortestWait(denials);
  if (mayPay) {
    const detail = 'The quota of every provider is spent. Try again when it reopens.';
    return new ProblemException('unavailable', detail, { retryAfterMs: waitMs ?? 1_000 });
  }
  if (waitMs === undefined) {
    return new ProblemException(
      'paid_access_required',
      'Every provider costs money, and this message may not use one.',
    );
  }
  return new ProblemException(
    'paid_access_required',
    'Send again after Retry-After, or use an account with paid access and do not set "paid" to "never".',
    { retryAfterMs: waitMs, freeReopensAt: new Date(nowMs + waitMs).toISOString() },
  );
}

function failed(tried: readonly Attempt[]): ProblemException {
  const names = tried.map(({ provider }) => provider).join(', ');
  if (tried.every(({ outcome }) => outcome === 'unknown')) {
    return new ProblemException(
      'provider_timeout',
      `No answer came from ${names}; the message may have been delivered all the same.`,
    );
  }
  return new ProblemException('provider_failed', `Every provider this message may use failed: ${names}. Try again.`);
}

function shortestWait(denials: readonly Denial[]): number | undefined {
  const waits = denials.flatMap((denial) => (denial.reason === 'unavailable' ? [] : [denial.waitMs]));
  return waits.length === 0 ? undefined : Math.min(...waits);
}
