import type { Permit } from '../permit.js';

/** This pod's unsettled permits: handed out to callers, or spare (the caller timed out, or the permit was prefetched). */
export class PermitsInHand {
  private readonly unsettled = new Set<Permit>();
  /** Oldest first. */
  private spares: Permit[] = [];

  get hasSpares(): boolean {
    return this.spares.length > 0;
  }

  /** Number of permits that callers hold. */
  get handedOut(): number {
    return this.unsettled.size - this.spares.length;
  }

  get areAllSettled(): boolean {
    return this.unsettled.size === 0;
  }

  has(permit: Permit): boolean {
    return this.unsettled.has(permit);
  }

  add(permit: Permit): void {
    this.unsettled.add(permit);
  }

  keepSpare(permit: Permit): void {
    this.spares.push(permit);
  }

  takeSpare(): Permit | undefined {
    return this.spares.shift();
  }

  /** Removes and returns the spare permits whose `sendByMs` is at or before `atMs`. */
  dropSparesDueBy(atMs: number): Permit[] {
    if (this.spares.every((permit) => permit.sendByMs > atMs)) return [];
    const dropped = this.spares.filter((permit) => permit.sendByMs <= atMs);
    this.spares = this.spares.filter((permit) => permit.sendByMs > atMs);
    return dropped;
  }

  /** Marks a permit as settled; false if it was settled before. */
  remove(permit: Permit): boolean {
    return this.unsettled.delete(permit);
  }
}
