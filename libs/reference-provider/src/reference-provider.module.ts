import { type DynamicModule, Module } from '@nestjs/common';
import { ServiceModule } from '#service';
import { AcceptanceLog } from './acceptance-log.js';
import type { Admission } from './admission.js';
import { FaultInjector } from './faults.js';
import { MessageIntake } from './message-intake.js';
import { ADMISSION, ReferenceProviderController } from './reference-provider.controller.js';
import { type MemoryLimits, RememberedAnswers } from './remembered-answers.js';

export interface ReferenceProviderOptions {
  /** Milliseconds since 1970, never going back. */
  nowMs?: () => number;
  /** From 0 up to but not including 1; decides about faults. */
  random?: () => number;
  memory?: MemoryLimits;
}

const MEMORY: MemoryLimits = { maxAnswers: 100_000, maxChars: 64 * 1024 * 1024 };

/** Everything a reference provider serves; the app brings how it counts. */
@Module({})
export class ReferenceProviderModule {
  static with(
    admission: Admission,
    { nowMs = monotonicMs, random = Math.random, memory = MEMORY }: ReferenceProviderOptions = {},
  ): DynamicModule {
    const faults = new FaultInjector(random);
    const accepted = new AcceptanceLog(memory.maxAnswers);
    const intake = new MessageIntake(admission, faults, new RememberedAnswers(memory), accepted, nowMs);
    return {
      module: ReferenceProviderModule,
      imports: [ServiceModule],
      controllers: [ReferenceProviderController],
      providers: [
        { provide: ADMISSION, useValue: admission },
        { provide: FaultInjector, useValue: faults },
        { provide: AcceptanceLog, useValue: accepted },
        { provide: MessageIntake, useValue: intake },
      ],
    };
  }
}

/** Somebody setting the wall clock must not shorten a block. */
function monotonicMs(): number {
  return performance.timeOrigin + performance.now();
}
