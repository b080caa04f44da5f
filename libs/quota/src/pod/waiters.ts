import type { Reservation } from '../permit.js';

interface Waiter {
  /** How much of the quota it needs. */
  amount: number;
  resolve: (reservation: Reservation) => void;
}

/** Callers that wait for a step, oldest first. */
export class Waiters {
  private waiting: Waiter[] = [];

  get count(): number {
    return this.waiting.length;
  }

  /** What all of them need together, and the smallest of them. */
  get amounts(): { all: number; least: number } {
    let [all, least] = [0, Infinity];
    for (const { amount } of this.waiting) {
      all += amount;
      least = Math.min(least, amount);
    }
    return { all, least };
  }

  /** Resolves when the caller is answered. */
  add(amount: number): Promise<Reservation> {
    return new Promise((resolve) => {
      this.waiting.push({ amount, resolve });
    });
  }

  /** The callers so far, for a step that starts now; later ones wait for the next step. */
  takeAll(): Waiters {
    const taken = new Waiters();
    [taken.waiting, this.waiting] = [this.waiting, []];
    return taken;
  }

  /** The first one that needs no more than this. */
  takeFitting(amount: number): Waiter | undefined {
    if ((this.waiting[0]?.amount ?? Infinity) <= amount) return this.waiting.shift();
    const index = this.waiting.findIndex((waiter) => waiter.amount <= amount);
    return index < 0 ? undefined : this.waiting.splice(index, 1)[0];
  }

  answerAll(reservation: Reservation): void {
    for (const { resolve } of this.waiting.splice(0)) resolve(reservation);
  }
}
