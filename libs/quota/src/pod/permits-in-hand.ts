import type { Permit } from '../permit.js';

/** The permits of this pod that are not settled: handed out, or spare: whoever asked had gone on without, or is still to come. */
export class PermitsInHand {
  private readonly unsettled = new Set<Permit>();
  private spares: Permit[] = [];

  get hasSpares(): boolean {
    return this.spares.length > 0;
  }

  /** How many are under way. */
  get handedOut(): number {
    return this.unsettled.size - this.spares.length;
  }

  get areAllSettled(): boolean {
    return this.unsettled.size === 0;
  }

  add(permit: Permit): void {
    this.unsettled.add(permit);
  }

  keepForNext(permit: Permit): void {
    this.spares.push(permit);
  }

  takeSpare(): Permit | undefined {
    return this.spares.shift();
  }

  /** Those spare that must be sent before `nowMs`: nobody will take them any more. */
  dropSpares(nowMs: number): Permit[] {
    if (this.spares.every((permit) => permit.sendByMs > nowMs)) return [];
    const dropped = this.spares.filter((permit) => permit.sendByMs <= nowMs);
    this.spares = this.spares.filter((permit) => permit.sendByMs > nowMs);
    return dropped;
  }

  /** False for a permit that was settled before. */
  remove(permit: Permit): boolean {
    return this.unsettled.delete(permit);
  }
}
