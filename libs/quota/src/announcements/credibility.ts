import type { Announcement } from './announcement.js';
import { hasWindows, type LimitedPolicy, periodMsOf } from '../policy.js';

/**
 * A fourth identical `remaining` in one epoch proves a stale counter. Three can be honest: at its edges, an epoch also
 * gets answers of the window before and of the window after.
 */
const SAME_REMAINING = 4;
/** How many numbers of a large window are kept. A made-up number repeats sooner than that. */
const KEPT_NUMBERS = 1_000;
/** The same single number in so many successive windows proves a constant. In fewer, chance may repeat an honest number. */
const SAME_WINDOWS = 8;
/** Window lengths are announced in whole seconds. */
const ROUNDING_MS = 1_000;

interface Answer {
  outcome: 'accepted' | 'refused';
  announced?: Announcement | undefined;
  epoch: number;
}

/**
 * Decides which announcements to use. Within a window, `remaining` decreases with every accepted request. A provider that
 * repeats itself announces a cached or made-up number, or another limit's number. Its count is ignored until it refuses a
 * request, because the announcement may then have been a correct warning.
 */
export class Credibility {
  isLost = false;
  private epoch = 0;
  /** How often each `remaining` was announced in this window; oldest number first. */
  private readonly announcedTimes = new Map<number, number>();
  /** The only number announced in each of the last `windows` windows. */
  private constant = { remaining: -1, windows: 0 };
  private patience = SAME_WINDOWS;

  /** @param onLost called whenever announcements stop being used */
  constructor(
    private readonly policy: LimitedPolicy,
    private readonly onLost: () => void = () => {},
  ) {}

  /** The usable part of what an answer to a request of this epoch announced. */
  believe({ outcome, announced, epoch }: Answer): Announcement | undefined {
    if (outcome === 'refused' && this.isLost) this.restore();
    if (announced?.remaining === undefined) return announced;
    if (hasWindows(this.policy) && outcome === 'accepted') this.count(announced.remaining, epoch);
    // -1 stands for a limit that was not announced: the limit of another window is ignored, the rest is used.
    if (!this.isLost) return this.isOfOurWindow(announced) ? announced : { ...announced, limit: -1 };
    const { retryAfterMs } = announced;
    return retryAfterMs === undefined ? undefined : { retryAfterMs };
  }

  private count(remaining: number, epoch: number): void {
    if (epoch < this.epoch) return;
    if (epoch > this.epoch) this.turn();
    this.epoch = epoch;
    const times = (this.announcedTimes.get(remaining) ?? 0) + 1;
    this.announcedTimes.set(remaining, times);
    if (this.announcedTimes.size > KEPT_NUMBERS) this.forgetOldest();
    if (this.isLost || (times < SAME_REMAINING && this.constant.windows < this.patience)) return;
    this.isLost = true;
    this.onLost();
  }

  private forgetOldest(): void {
    const [oldest] = this.announcedTimes.keys();
    if (oldest !== undefined) this.announcedTimes.delete(oldest);
  }

  private turn(): void {
    const [only, ...others] = this.announcedTimes.keys();
    this.announcedTimes.clear();
    if (only === undefined) return;
    const goesOn = others.length === 0 && only === this.constant.remaining;
    this.constant = { remaining: others.length === 0 ? only : -1, windows: goesOn ? this.constant.windows + 1 : 1 };
  }

  /** The announcements may have been right. It takes twice as many constant windows to doubt them again. */
  private restore(): void {
    this.isLost = false;
    this.announcedTimes.clear();
    this.constant = { remaining: -1, windows: 0 };
    this.patience *= 2;
  }

  /** A limit is ours only if its window is as long as ours: providers also announce daily limits. */
  private isOfOurWindow({ windowMs }: Announcement): boolean {
    if (windowMs === undefined || this.policy.policy === 'token-bucket') return false;
    return Math.abs(windowMs - periodMsOf(this.policy)) < ROUNDING_MS;
  }
}
