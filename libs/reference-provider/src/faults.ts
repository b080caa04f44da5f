import { type Faults, faultsSchema } from '#contracts';

const FAULTS = ['drop', 'error', 'loseReply', 'nonsense'] as const;
export type Fault = (typeof FAULTS)[number];

/** Faults on demand. `random` returns numbers from 0 to below 1. */
export class FaultInjector {
  private current = faultsSchema.parse({});

  constructor(private readonly random: () => number) {}

  get inForce(): Faults {
    return this.current;
  }

  replace(faults: Faults): void {
    this.current = faults;
  }

  /** The fault of this request, if any. */
  draw(): Fault | undefined {
    return chooseFault(this.current, this.random());
  }

  /** Counts a fault that took effect; the last of `times` switches every fault off. */
  countHit(): void {
    const { times } = this.current;
    if (times === null) return;
    this.current = times > 1 ? { ...this.current, times: times - 1 } : faultsSchema.parse({});
  }
}

/**
 * One draw chooses among all faults, so that each has exactly its own rate.
 * Rates that add up to more than 1 are cut off in the order of `FAULTS`.
 */
export function chooseFault(faults: Faults, draw: number): Fault | undefined {
  let upTo = 0;
  for (const fault of FAULTS) {
    upTo += faults[`${fault}Rate`];
    if (draw < upTo) return fault;
  }
  return undefined;
}
