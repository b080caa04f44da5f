import { setTimeout as delay } from 'node:timers/promises';
import { Controller, HttpCode, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type ProviderAnswer, type ProviderRequest, providerRequestSchema } from '#contracts';
import { ProblemException, sendProblem, ValidBody } from '#service';
import { FaultInjector } from './faults.js';
import { MessageIntake, type Outcome } from './message-intake.js';

/** Visible ASCII. Excludes a field sent twice: Node joins its values with a comma and a space. */
const IDEMPOTENCY_KEY = /^[!-~]{1,255}$/;

@Controller()
export class ReferenceProviderController {
  constructor(
    private readonly intake: MessageIntake,
    private readonly faults: FaultInjector,
  ) {}

  @Post('messages')
  @HttpCode(200)
  async receive(
    @ValidBody(providerRequestSchema) { message }: ProviderRequest,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const idempotencyKey = idempotencyKeyOf(request);
    // Read before `receive`: the last hit of `times` switches latency off for later requests, not for its own.
    const { latencyMs } = this.faults.inForce;
    const outcome = this.intake.receive({ message, idempotencyKey });
    if (latencyMs > 0) await delay(latencyMs);
    this.intake.end(outcome);
    answer(request, reply, outcome);
  }
}

function idempotencyKeyOf({ headers }: FastifyRequest): string | undefined {
  const key = headers['idempotency-key'];
  if (key === undefined || (typeof key === 'string' && IDEMPOTENCY_KEY.test(key))) return key;
  throw new ProblemException('invalid_request', 'Idempotency-Key must be 1 to 255 visible ASCII characters.');
}

function answer(request: FastifyRequest, reply: FastifyReply, outcome: Outcome): void {
  switch (outcome.kind) {
    case 'answered':
      reply.headers(outcome.headers).send({ ok: true, response: outcome.response } satisfies ProviderAnswer);
      return;
    case 'nonsense':
      reply.headers(outcome.headers).type('text/html; charset=utf-8').send('<h1>It works!</h1>');
      return;
    case 'refused': {
      reply.headers(outcome.headers);
      const { retryAfterMs } = outcome;
      const detail = 'The quota is used up. Try again after Retry-After.';
      sendProblem(request, reply, new ProblemException('quota_exceeded', detail, { retryAfterMs }));
      return;
    }
    // Not thrown: an injected fault must not be logged as an error.
    case 'error':
      sendProblem(request, reply, new ProblemException('internal_error', 'PUT /faults injected this fault.'));
      return;
    case 'drop':
    case 'loseReply':
      reply.hijack();
      request.raw.socket.destroy();
  }
}
