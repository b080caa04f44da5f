import type { ProviderStats } from '#contracts';
import type { Admission, Decision } from '#reference-provider';
import { WindowLog } from './window-log.js';

/** Accepts everything, in one window that never ends. */
export class Unlimited implements Admission {
  private readonly log = new WindowLog();

  decide(nowMs: number): Decision {
    this.log.accept(nowMs);
    return { accepted: true };
  }

  headers(): Record<string, string> {
    return {};
  }

  stats(): ProviderStats {
    return this.log.stats();
  }

  resetStats(): void {
    this.log.reset();
  }
}
