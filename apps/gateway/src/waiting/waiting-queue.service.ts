import { Injectable } from '@nestjs/common';
import { type LimitedPolicy, limitOf, periodMsOf, Quota } from '#quota';
import type { Provider } from '../providers/providers-file.js';
import type { Rates } from '../routing/arrival-rate.js';
import { Claims } from '../journal/claims.service.js';
import { POLL_MS } from './free-quota-dispatcher.js';
import { dueThresholdsMs, type PatientShare, patientShare } from '../routing/patient-share.js';
import { UrgentTraffic } from './urgent-traffic.service.js';

/** From a window's opening until the answer to what waited for it. */
const ROUND_TRIP_MS = 50;
/** Longest look at what waits. */
const COUNT_MAX = 10_000;
/** What waits beyond so many windows' worth makes no difference to what may go now. */
const WINDOWS_MAX = 100;

/** What waits, as this pod knows it. */
@Injectable()
export class Queue {
  private waiting = 0;
  /** Urgent traffic of the other pods, as of the last look. */
  private others: Rates = { recent: 0, usual: 0 };

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
    if (policy === undefined || this.waiting === 0) return { take: this.waiting, lookAgainMs: POLL_MS };
    const thresholdsMs = dueThresholdsMs({ policy, roundTripMs: ROUND_TRIP_MS });
    const most = this.mostCounted(policy);
    const { waiting, others } = await this.claims.queue(thresholdsMs, most);
    if (waiting.total < most) this.waiting = waiting.total;
    this.others = others;
    if (waiting.total === 0) return { take: 0, lookAgainMs: POLL_MS };
    const urgentPerSecond = this.urgentPerSecond();
    const slots = await this.openSlots(name, policy, urgentPerSecond);
    return patientShare({ policy, slots, urgentPerSecond, waiting, roundTripMs: ROUND_TRIP_MS });
  }

  /** How many to count: a window's worth may go if there are no urgent messages to keep slots for. */
  private mostCounted(policy: LimitedPolicy): number {
    const { recent, usual } = this.urgentPerSecond();
    const isQuiet = (Math.max(recent, usual) * periodMsOf(policy)) / 1_000 < 1;
    return isQuiet ? limitOf(policy) : Math.min(COUNT_MAX, WINDOWS_MAX * limitOf(policy));
  }

  private urgentPerSecond(): Rates {
    const own = this.urgent.perSecond();
    return { recent: own.recent + this.others.recent, usual: own.usual + this.others.usual };
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
