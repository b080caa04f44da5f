import type { ProviderStats } from '#contracts';
import type { Admission, Decision } from '#reference-provider';

/** No quota: counts and never refuses. */
export class AlwaysAccept implements Admission {
  private accepted = 0;

  decide(): Decision {
    this.accepted += 1;
    return { accepted: true };
  }

  headers(): Record<string, string> {
    return {};
  }

  stats(): ProviderStats {
    return { accepted: this.accepted, refused: 0, windows: [] };
  }

  resetStats(): void {
    this.accepted = 0;
  }
}
