import type { Admission, Decision } from '#reference-provider';
import { Logged } from './logged.js';

/** Accepts everything, in one window that never ends. */
export class Unlimited extends Logged implements Admission {
  decide(nowMs: number): Decision {
    this.log.accept(nowMs);
    return { accepted: true };
  }

  headers(): Record<string, string> {
    return {};
  }
}
