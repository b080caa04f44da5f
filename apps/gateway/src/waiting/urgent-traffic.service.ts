import { Inject, Injectable } from '@nestjs/common';
import type { ProvidersFile } from '../providers/providers-file.js';
import { PROVIDERS } from '../providers/providers.token.js';
import { ArrivalRate, type Rates } from '../routing/arrival-rate.js';
import { rateMemories } from '../routing/patient-share.js';

/** How often messages come to this pod that are paid for when free is blocked: patient ones leave them slots. */
@Injectable()
export class UrgentTraffic {
  private readonly rate: ArrivalRate | undefined;

  constructor(@Inject(PROVIDERS) { providers }: ProvidersFile) {
    const policy = providers.find(({ quota, priceMicros }) => quota !== undefined && priceMicros === 0)?.quota;
    this.rate = policy && new ArrivalRate(rateMemories(policy), performance.now());
  }

  note(): void {
    this.rate?.note(performance.now());
  }

  perSecond(): Rates {
    return this.rate?.perSecond(performance.now()) ?? { recent: 0, usual: 0 };
  }
}
