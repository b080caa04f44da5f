import type { Announcement } from './announcement.js';
import { hasWindows, type LimitedPolicy, periodMsOf } from '../policy.js';

/** Answers of one epoch that see as many left are one too many: at its edges, three windows are told of as one. */
const SAME_REMAINING = 4;
/** Of a large window only the last numbers are remembered: one that is made up soon comes again. */
const REMEMBERED = 1_000;
/** Windows in a row of which an honest provider may tell the same number only, heard by chance. */
const SAME_WINDOWS = 8;
/** Windows are told in whole seconds. */
const ROUNDING_MS = 1_000;

interface Answer {
  outcome: 'accepted' | 'refused';
  announced?: Announcement | undefined;
  epoch: number;
}

/**
 * Which announcements to believe. Of a window's answers each one sees fewer requests left than the one before; a provider
 * that repeats itself tells a cached or made-up number, or that of another limit, and its count is not used until it
 * refuses a request that it would have warned of.
 */
export class Credibility {
  isLost = false;
  private epoch = 0;
  /** How often which number was told in this window. */
  private readonly told = new Map<number, number>();
  /** The only number that was told in so many windows before. */
  private constant = { remaining: -1, windows: 0 };
  private patience = SAME_WINDOWS;

  constructor(private readonly policy: LimitedPolicy) {}

  /** What may be used of what an answer to a request of this epoch said. */
  believe({ outcome, announced, epoch }: Answer): Announcement | undefined {
    if (outcome === 'refused' && this.isLost) this.forgive();
    if (announced?.remaining === undefined) return announced;
    if (hasWindows(this.policy) && outcome === 'accepted') this.count(announced.remaining, epoch);
    if (!this.isLost) return this.isOfOurWindow(announced) ? announced : { ...announced, limit: -1 };
    const { retryAfterMs } = announced;
    return retryAfterMs === undefined ? undefined : { retryAfterMs };
  }

  private count(remaining: number, epoch: number): void {
    if (epoch < this.epoch) return;
    if (epoch > this.epoch) this.turn();
    this.epoch = epoch;
    const times = (this.told.get(remaining) ?? 0) + 1;
    this.told.set(remaining, times);
    if (this.told.size > REMEMBERED) this.forgetOldest();
    if (times >= SAME_REMAINING || this.constant.windows >= this.patience) this.isLost = true;
  }

  private forgetOldest(): void {
    const [oldest] = this.told.keys();
    if (oldest !== undefined) this.told.delete(oldest);
  }

  private turn(): void {
    const [only, ...others] = this.told.keys();
    this.told.clear();
    if (only === undefined) return;
    const goesOn = others.length === 0 && only === this.constant.remaining;
    this.constant = { remaining: others.length === 0 ? only : -1, windows: goesOn ? this.constant.windows + 1 : 1 };
  }

  /** It may have been right: then it takes longer to be doubted again. */
  private forgive(): void {
    this.isLost = false;
    this.told.clear();
    this.constant = { remaining: -1, windows: 0 };
    this.patience *= 2;
  }

  /** A limit is only that of our window if its window is as long: others limit by the day as well. */
  private isOfOurWindow({ windowMs }: Announcement): boolean {
    if (windowMs === undefined || this.policy.policy === 'token-bucket') return false;
    return Math.abs(windowMs - periodMsOf(this.policy)) < ROUNDING_MS;
  }
}
