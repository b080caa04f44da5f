import { type Faults, faultsSchema } from '#contracts';

const FAULTS = ['drop', 'error', 'loseReply', 'nonsense'] as const;
export type Fault = (typeof FAULTS)[number];

/** Trouble on demand. `random` gives numbers from 0 up to but not including 1. */
export class FaultInjector {
  private current = faultsSchema.parse({});

  constructor(private readonly random: () => number) {}

  get inForce(): Faults {
    return this.current;
  }

  replace(faults: Faults): void {
    this.current = faults;
  }

  /** The fault this request is to suffer, if any. */
  draw(): Fault | undefined {
    return chooseFault(this.current, this.random());
  }

  /** Counts a fault that took effect; the last of `times` switches all faults off. */
  countHit(): void {
    const { times } = this.current;
    if (times === null) return;
    this.current = times > 1 ? { ...this.current, times: times - 1 } : faultsSchema.parse({});
  }
}

/**
 * One draw decides between all faults, so that each rate holds by itself.
 * Rates that add up to more than 1 are cut off in the order drop, error, lose the reply, nonsense.
 */
export function chooseFault(faults: Faults, draw: number): Fault | undefined {
  let upTo = 0;
  for (const fault of FAULTS) {
    upTo += faults[`${fault}Rate`];
    if (draw < upTo) return fault;
  }
  return undefined;
}
