import { Inject, Injectable } from '@nestjs/common';
import { ProblemException } from '#service';
import { type GatewaySettings, SETTINGS } from '../gateway.settings.js';
import { MessageQueries } from '../journal/message-queries.service.js';
import type { Message } from '../message.js';

/** How long a count is used. Pods count at the same time, so a limit may be exceeded by what they accept meanwhile. */
const COUNT_TTL_MS = 1_000;
const ACCOUNTS_MAX = 10_000;
const RETRY_AFTER_MS = 10_000;

interface Count {
  count: number;
  bytes: number;
  atMs: number;
}

/** Limits the waiting messages of one account, so that it cannot push the others' messages far back. */
@Injectable()
export class WaitingLimits {
  private readonly counts = new Map<string, Count>();

  constructor(
    @Inject(SETTINGS) private readonly settings: GatewaySettings,
    private readonly queries: MessageQueries,
  ) {}

  /** @throws ProblemException `too_many_requests` */
  async admit({ accountId, text }: Message): Promise<void> {
    const { WAITING_MESSAGES_MAX, WAITING_BYTES_MAX } = this.settings;
    const known = await this.countOf(accountId);
    known.count += 1;
    known.bytes += Buffer.byteLength(text);
    if (known.count <= WAITING_MESSAGES_MAX && known.bytes <= WAITING_BYTES_MAX) return;
    const limits = `${WAITING_MESSAGES_MAX} messages or ${WAITING_BYTES_MAX} bytes of text`;
    const detail = `This account has as many waiting messages as it may have: ${limits}. Wait until some are sent.`;
    throw new ProblemException('too_many_requests', detail, { retryAfterMs: RETRY_AFTER_MS });
  }

  private async countOf(accountId: string): Promise<Count> {
    const known = this.counts.get(accountId);
    if (known !== undefined && performance.now() - known.atMs < COUNT_TTL_MS) return known;
    if (this.counts.size >= ACCOUNTS_MAX) this.counts.clear();
    const { count, bytes } = await this.queries.waitingOf(accountId, this.settings.WAITING_MESSAGES_MAX);
    const fresh = { count, bytes, atMs: performance.now() };
    this.counts.set(accountId, fresh);
    return fresh;
  }
}
