import type { ProviderStats } from '#contracts';
import { WindowLog } from './window-log.js';

/** A way to count that logs its windows for the stats. */
export abstract class Logged {
  protected readonly log = new WindowLog();

  stats(): ProviderStats {
    return this.log.stats();
  }

  /** The quota itself continues: a full window stays full. */
  resetStats(): void {
    this.log.reset();
  }
}
