import { isDeepStrictEqual } from 'node:util';
import { Inject, Injectable } from '@nestjs/common';
import type { LimitedPolicy } from '#quota';
import type { LiveProviders } from '../providers/live-providers.js';
import { PROVIDERS } from '../providers/providers-file.js';
import { ArrivalRate, type Rates } from '../routing/arrival-rate.js';
import { isFree } from '../routing/choose-route.js';
import { rateMemories } from '../routing/patient-share.js';

/** Without an urgent message for this long, free slots are no longer kept for urgent messages. */
const LULL_MS = 3_000;
/** Urgent messages that have come for this long without a lull are expected to go on. */
const STEADY_MS = 10_000;
const NONE: Rates = { recent: 0, usual: 0 };

/** How often urgent messages come to this pod: those that are paid for while free quota is blocked. */
@Injectable()
export class UrgentTraffic {
  private rate: ArrivalRate | undefined;
  private policy: LimitedPolicy | undefined;
  private lastMs = -Infinity;
  /** When the first urgent message after the last lull came. */
  private beganMs = -Infinity;

  constructor(@Inject(PROVIDERS) private readonly config: LiveProviders) {
    this.estimateAnew();
    config.onReplaced(() => this.estimateAnew());
  }

  /** The memory of the estimate follows the period of the free quota. */
  private estimateAnew(): void {
    const free = this.config.providers.find((provider) => provider.quota !== undefined && isFree(provider));
    if (isDeepStrictEqual(free?.quota, this.policy)) return;
    this.policy = free?.quota;
    this.rate = this.policy && new ArrivalRate(rateMemories(this.policy), performance.now());
  }

  note(): void {
    const nowMs = performance.now();
    if (nowMs - this.lastMs > LULL_MS) this.beganMs = nowMs;
    this.lastMs = nowMs;
    this.rate?.note(nowMs);
  }

  /** Zero in a lull. */
  perSecond(): Rates {
    const nowMs = performance.now();
    if (this.rate === undefined || nowMs - this.lastMs > LULL_MS) return NONE;
    return this.rate.perSecond(nowMs);
  }

  /** Time until a lull if no further urgent message comes, in milliseconds; Infinity while they come steadily. */
  get endsInMs(): number {
    if (this.rate === undefined) return 0;
    const nowMs = performance.now();
    const untilLullMs = Math.max(0, this.lastMs + LULL_MS - nowMs);
    return untilLullMs > 0 && this.lastMs - this.beganMs >= STEADY_MS ? Infinity : untilLullMs;
  }
}
