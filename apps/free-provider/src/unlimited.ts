import type { ProviderStats } from '#contracts';
import type { Admission, Decision } from '#reference-provider';
import { SpellLog } from './spell-log.js';

/** Accepts everything, in one spell that never ends. */
export class Unlimited implements Admission {
  private readonly log = new SpellLog();

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
