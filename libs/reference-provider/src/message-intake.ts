import type { AcceptanceLog } from './acceptance-log.js';
import type { Admission, Decision } from './admission.js';
import type { FaultInjector } from './faults.js';
import type { RememberedAnswers } from './remembered-answers.js';
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

/** Decides what becomes of a message the moment it arrives; answering may take longer. */
export class MessageIntake {
  constructor(
    private readonly admission: Admission,
    private readonly faults: FaultInjector,
    private readonly remembered: RememberedAnswers,
    private readonly accepted: AcceptanceLog,
    private readonly nowMs: () => number,
  ) {}

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
    if (fault === undefined) return { kind: 'answered', response: decision.response, headers };
    this.faults.countHit();
    return { kind: fault, headers };
  }

  /** A repeat gives the first answer and counts nothing. A refusal is not remembered: its key may be tried again. */
  private acceptOnce({ message, idempotencyKey }: Arrival, nowMs: number): AnsweredDecision {
    const first = idempotencyKey === undefined ? undefined : this.remembered.find(idempotencyKey);
    if (first !== undefined) return { accepted: true, response: first };
    const decision = this.admission.decide(nowMs);
    if (!decision.accepted) return decision;
    const response = reverseGraphemes(message);
    if (idempotencyKey !== undefined) {
      this.remembered.add({ key: idempotencyKey, answer: response });
      this.accepted.add({ key: idempotencyKey, nowMs });
    }
    return { accepted: true, response };
  }
}

type AnsweredDecision = { accepted: true; response: string } | Extract<Decision, { accepted: false }>;
