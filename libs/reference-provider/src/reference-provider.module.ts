import { type DynamicModule, Module } from '@nestjs/common';
import type { Admission } from './admission.js';
import { FaultInjector } from './faults.js';
import { MessageIntake } from './message-intake.js';
import { ADMISSION, ReferenceProviderController } from './reference-provider.controller.js';
import type { MemoryLimits } from './remembered-answers.js';

export interface ReferenceProviderOptions {
  /** Milliseconds since 1970; never goes back. */
  nowMs?: () => number;
  /** From 0 to below 1; draws the faults. */
  random?: () => number;
  memory?: MemoryLimits;
}

const MEMORY: MemoryLimits = { maxAnswers: 100_000, maxChars: 64 * 1024 * 1024 };

/** All routes of a reference provider; the app brings the `Admission`, which counts. */
@Module({})
export class ReferenceProviderModule {
  static with(
    admission: Admission,
    { nowMs = monotonicMs, random = Math.random, memory = MEMORY }: ReferenceProviderOptions = {},
  ): DynamicModule {
    const faults = new FaultInjector(random);
    return {
      module: ReferenceProviderModule,
      controllers: [ReferenceProviderController],
      providers: [
        { provide: ADMISSION, useValue: admission },
        { provide: FaultInjector, useValue: faults },
        { provide: MessageIntake, useValue: new MessageIntake(admission, faults, memory, nowMs) },
      ],
    };
  }
}

/** Setting the wall clock must not shorten a block. */
function monotonicMs(): number {
  return performance.timeOrigin + performance.now();
}
