import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import type { Permit, Quota } from '#quota';
import { BackgroundLoop } from '#service';
import { InFlight } from '../in-flight.js';
import type { Message } from '../message.js';
import type { Provider } from '../providers/providers-file.js';
import type { PatientShare } from '../routing/patient-share.js';

/** Most waiting messages in flight at one pod. */
const MAX_CONCURRENT = 256;
/** Preparing sends blocks the event loop: after so many the prepared ones leave. */
const STARTS_PER_TURN = 4;
/** Look for waiting messages this long before reopening, so that the permits are reserved as the quota opens. */
const PREPARE_MS = 100;
/** Pause after Redis or Postgres did not answer. */
const RETRY_MS = 500;
/** Longest pause while messages are held back: a lull of urgent messages must be noticed soon. */
const HELD_BACK_POLL_MS = 1_000;
/** Poll interval for waiting messages of pods that have ended, which signal nothing to this one. */
export const POLL_MS = 2_000;

/** Undefined where there is no quota. */
export type Slot = Permit | undefined;

export interface DispatcherWork {
  /** How many messages may take a slot now, and when to ask again. */
  share(provider: Provider): Promise<PatientShare>;
  claim(provider: Provider, slots: readonly Slot[]): Promise<Message[]>;
  /** Sends a claimed message. Never fails. */
  send(message: Message, provider: Provider, slot: Slot): Promise<void>;
  /** How long the gateway does not send to an account because it failed, in milliseconds. */
  pausedForMs(provider: Provider): number;
  /** False while an admin has switched the account off; a change wakes the dispatcher. */
  isEnabled(provider: Provider): boolean;
  failed(error: unknown): void;
}

/**
 * Sends waiting messages through one free provider. It sleeps while the quota is blocked; when the quota opens it
 * reserves a permit for each message that may go, and claims as many messages as it was granted permits.
 */
export class FreeQuotaDispatcher {
  private readonly inFlight = new InFlight();
  private readonly loop = new BackgroundLoop(
    () => this.round(),
    (error) => {
      this.work.failed(error);
      return RETRY_MS;
    },
  );
  private opensAtMs = -Infinity;

  constructor(
    readonly provider: Provider,
    private readonly quota: Quota,
    private readonly work: DispatcherWork,
  ) {}

  /** How long the quota is known to stay closed, in milliseconds. */
  get opensInMs(): number {
    const { account, quotas } = this.provider;
    const pausedMs = this.work.pausedForMs(this.provider);
    if (quotas.length === 0) return pausedMs;
    return Math.max(this.opensAtMs - performance.now(), this.quota.blockedForMs(account), pausedMs);
  }

  start(): void {
    this.loop.start();
  }

  /** There may be a message to send. */
  wake(): void {
    this.loop.wake();
  }

  async close(): Promise<void> {
    await this.loop.close();
    await this.inFlight.drain();
  }

  /** @returns the pause before the next round, in milliseconds, unless signalled */
  private async round(): Promise<number> {
    if (!this.work.isEnabled(this.provider)) return POLL_MS;
    if (this.opensInMs > PREPARE_MS) return this.opensInMs - PREPARE_MS;
    const { take, heldBack, lookAgainMs } = await this.work.share(this.provider);
    const pauseMs = heldBack > 0 ? Math.min(lookAgainMs, HELD_BACK_POLL_MS) : lookAgainMs;
    // Other senders may have used the quota up meanwhile: this is another block, with a round of its own before it ends.
    if (this.opensInMs > PREPARE_MS) return this.opensInMs - PREPARE_MS;
    if (take > 0) await sleep(this.opensInMs);
    const wanted = Math.min(take, MAX_CONCURRENT - this.inFlight.size);
    // At the maximum, a finished send wakes the loop.
    if (wanted <= 0) return take > 0 ? POLL_MS : pauseMs;
    const slots = await this.reserve(wanted);
    if (slots.length === 0) return Math.max(this.opensInMs, 1);
    const messages = await this.claim(slots);
    for (const [index, slot] of slots.entries()) {
      const message = messages[index];
      if (message === undefined) this.giveBack(slot);
      else this.send(message, slot);
      // Sends that were started leave before the rest is prepared.
      if (index % STARTS_PER_TURN === 0) await setImmediate();
    }
    return take > wanted ? 0 : pauseMs;
  }

  private async reserve(count: number): Promise<Slot[]> {
    const { account, quotas } = this.provider;
    if (quotas.length === 0) return Array.from({ length: count }, () => undefined);
    const reservations = await Promise.all(Array.from({ length: count }, () => this.quota.reserve(account)));
    for (const reservation of reservations) {
      if (reservation.granted) continue;
      const waitMs = reservation.reason === 'unavailable' ? RETRY_MS : reservation.waitMs;
      this.opensAtMs = performance.now() + waitMs;
    }
    return reservations.flatMap((reservation) => (reservation.granted ? [reservation.permit] : []));
  }

  private async claim(slots: readonly Slot[]): Promise<Message[]> {
    try {
      return await this.work.claim(this.provider, slots);
    } catch (error) {
      for (const slot of slots) this.giveBack(slot);
      throw error;
    }
  }

  private giveBack(slot: Slot): void {
    if (slot !== undefined) this.quota.settle(slot, { outcome: 'notSent' });
  }

  private send(message: Message, slot: Slot): void {
    this.inFlight.add(this.work.send(message, this.provider, slot), () => {
      if (this.inFlight.size === MAX_CONCURRENT - 1) this.loop.wake();
    });
  }
}
