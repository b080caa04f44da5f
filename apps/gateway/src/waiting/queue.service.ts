import { Injectable } from '@nestjs/common';
import { type LimitedPolicy, limitOf, Quota } from '#quota';
import type { Provider } from '../providers/providers-file.js';
import type { Rates } from './arrival-rate.js';
import { Claims } from './claims.service.js';
import { LOOK_MS } from './free-lane.js';
import { dueThresholdsMs, type PatientShare, patientShare } from './patient-share.js';
import { UrgentTraffic } from './urgent-traffic.service.js';

/** From a window's opening until the answer to what waited for it. */
const ROUND_TRIP_MS = 50;
/** Longest look at what waits: beyond it, more makes no difference. */
const COUNT_MAX = 10_000;

/** What waits, as this pod knows it. */
@Injectable()
export class Queue {
  private waiting = 0;

  constructor(
    private readonly claims: Claims,
    private readonly quota: Quota,
    private readonly urgent: UrgentTraffic,
  ) {}

  /** How many wait, as of the last look. */
  get length(): number {
    return this.waiting;
  }

  added(): void {
    this.waiting += 1;
  }

  claimed(count: number): void {
    this.waiting = Math.max(0, this.waiting - count);
  }

  /** @returns in how many milliseconds the first of them is due */
  async look(): Promise<number | undefined> {
    const { waiting, dueInMs } = await this.claims.look(this.urgent.perSecond(), COUNT_MAX);
    this.waiting = waiting;
    return dueInMs;
  }

  /** How many may take a slot of that provider now, and when to ask again. */
  async share({ name, quota: policy }: Provider): Promise<PatientShare> {
    if (policy === undefined || this.waiting === 0) return { take: 0, lookAgainMs: LOOK_MS };
    const thresholdsMs = dueThresholdsMs({ policy, roundTripMs: ROUND_TRIP_MS });
    const { waiting, others } = await this.claims.queue(thresholdsMs, COUNT_MAX);
    this.waiting = waiting.total;
    if (waiting.total === 0) return { take: 0, lookAgainMs: LOOK_MS };
    const own = this.urgent.perSecond();
    const urgentPerSecond = { recent: own.recent + others.recent, usual: own.usual + others.usual };
    const slots = await this.openSlots(name, policy, urgentPerSecond);
    return patientShare({ policy, slots, urgentPerSecond, waiting, roundTripMs: ROUND_TRIP_MS });
  }

  /** Without urgent messages to keep slots for, the permits tell by themselves how many there are. */
  private async openSlots(name: string, policy: LimitedPolicy, urgent: Rates): Promise<number> {
    if (urgent.recent + urgent.usual === 0) return limitOf(policy);
    const now = await this.quota.state(name);
    if (now?.state === 'open') return Math.max(0, now.limit - now.used);
    // Asking for a permit tells until when it is closed.
    return now === undefined ? 0 : limitOf(policy);
  }
}
