import { type DynamicModule, Module } from '@nestjs/common';
import type { Admission } from './admission.js';
import { ADMISSION, CONTROL_TOKEN, ControlController, type ControlSettings, hasControl } from './control.controller.js';
import { FaultInjector } from './faults.js';
import { MessageIntake } from './message-intake.js';
import { ReferenceProviderController } from './reference-provider.controller.js';
import type { MemoryLimits } from './remembered-answers.js';

export interface ReferenceProviderOptions {
  /** Milliseconds since 1970; never goes back. */
  nowMs?: () => number;
  /** From 0 to below 1; draws the faults. */
  random?: () => number;
  memory?: MemoryLimits;
  control?: ControlSettings;
}

const MEMORY: MemoryLimits = { maxAnswers: 100_000, maxChars: 64 * 1024 * 1024 };

/** As outside production. */
const OPEN: ControlSettings = { NODE_ENV: 'test' };

/** All routes of a reference provider; the app brings the `Admission`, which counts. */
@Module({})
export class ReferenceProviderModule {
  static with(
    admission: Admission,
    { nowMs = monotonicMs, random = Math.random, memory = MEMORY, control = OPEN }: ReferenceProviderOptions = {},
  ): DynamicModule {
    const faults = new FaultInjector(random);
    return {
      module: ReferenceProviderModule,
      controllers: [ReferenceProviderController, ...(hasControl(control) ? [ControlController] : [])],
      providers: [
        { provide: ADMISSION, useValue: admission },
        { provide: CONTROL_TOKEN, useValue: control.CONTROL_TOKEN },
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
