import type { AcceptedRequest } from '#contracts';
import type { Admission, Decision } from './admission.js';
import type { FaultInjector } from './faults.js';
import { type MemoryLimits, RememberedAnswers } from './remembered-answers.js';
import { reverseGraphemes } from './reverse-graphemes.js';

export interface Arrival {
  message: string;
  idempotencyKey: string | undefined;
}

export type Outcome =
  | { kind: 'answered'; response: string; headers: Record<string, string> }
  | { kind: 'refused'; retryAfterMs: number; headers: Record<string, string> }
  | { kind: 'nonsense'; headers: Record<string, string> }
  | { kind: 'drop' | 'error' | 'loseReply' };

type AnsweredDecision =
  { accepted: true; response: string; isCounted: boolean } | Extract<Decision, { accepted: false }>;

/** Decides the outcome of a message when it arrives; the answer may be sent later. */
export class MessageIntake {
  private readonly remembered: RememberedAnswers;
  private readonly log: AcceptanceLog;
  /** Outcomes of accepted requests that are not answered yet. */
  private readonly inFlight = new Set<Outcome>();

  constructor(
    private readonly admission: Admission,
    private readonly faults: FaultInjector,
    memory: MemoryLimits,
    private readonly nowMs: () => number,
  ) {
    this.remembered = new RememberedAnswers(memory);
    this.log = new AcceptanceLog(memory.maxAnswers);
  }

  /** Synchronous, so that of two requests with one key the second always finds the answer of the first. */
  receive(arrival: Arrival): Outcome {
    const fault = this.faults.draw();
    if (fault === 'drop' || fault === 'error') {
      this.faults.countHit();
      return { kind: fault };
    }
    const nowMs = this.nowMs();
    const decision = this.acceptOnce(arrival, nowMs);
    const headers = this.admission.headers(nowMs);
    if (!decision.accepted) return { kind: 'refused', retryAfterMs: decision.retryAfterMs, headers };
    const outcome: Outcome =
      fault === undefined ? { kind: 'answered', response: decision.response, headers } : { kind: fault, headers };
    if (decision.isCounted) this.inFlight.add(outcome);
    if (fault !== undefined) this.faults.countHit();
    return outcome;
  }

  /** Call once the answer is on its way, or the connection is closed without one. */
  end(outcome: Outcome): void {
    if (this.inFlight.delete(outcome)) this.admission.release?.();
  }

  /** Requests with an idempotency key that were counted, oldest first. */
  acceptedRequests(): AcceptedRequest[] {
    return this.log.latest();
  }

  /** Begins a new log. Answers stay remembered: a repeat is still not counted. */
  resetLog(): void {
    this.log.reset();
  }

  /** A repeat gets the first answer and is not counted. A refusal is not remembered: its key may be tried again. */
  private acceptOnce({ message, idempotencyKey }: Arrival, nowMs: number): AnsweredDecision {
    const first = idempotencyKey === undefined ? undefined : this.remembered.find(idempotencyKey);
    if (first !== undefined) return { accepted: true, response: first, isCounted: false };
    const decision = this.admission.decide(nowMs, message.length);
    if (!decision.accepted) return decision;
    const response = reverseGraphemes(message);
    if (idempotencyKey !== undefined) {
      this.remembered.add({ key: idempotencyKey, answer: response });
      this.log.add({ key: idempotencyKey, nowMs });
    }
    return { accepted: true, response, isCounted: true };
  }
}

/** Idempotency keys of accepted requests, oldest first; beyond the limit it forgets the oldest. */
export class AcceptanceLog {
  private accepted: AcceptedRequest[] = [];

  constructor(private readonly maxRequests: number) {}

  /**
   * A key may be added twice: the provider had forgotten its answer, and counted it again.
   * @param nowMs milliseconds since 1970
   */
  add({ key, nowMs }: { key: string; nowMs: number }): void {
    this.accepted.push({ key, acceptedAt: new Date(nowMs).toISOString() });
    if (this.accepted.length > 2 * this.maxRequests) this.accepted = this.latest();
  }

  latest(): AcceptedRequest[] {
    return this.accepted.slice(-this.maxRequests);
  }

  reset(): void {
    this.accepted = [];
  }
}
