import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import type { Permit, Quota } from '#quota';
import type { Message } from '../message.js';
import type { Provider } from '../providers/providers-file.js';
import { Wakeup } from '../wakeup.js';

/** Most messages a pod has under way at once of those that waited. */
const AT_ONCE = 256;
/** Preparing one takes a fraction of a millisecond, in which nothing else goes out. */
const STARTED_AT_ONCE = 4;
/** How long before it opens it is looked for who waits: the permits are asked for as it opens. */
const PREPARE_MS = 100;
/** How soon it is tried again when Redis or Postgres did not answer. */
const RETRY_MS = 500;
/** How often it is looked for messages of other pods that have ended: nobody told this one of them. */
export const POLL_MS = 2_000;

/** Undefined where there is no quota. */
export type Slot = Permit | undefined;

export interface LaneWork {
  /** How many may take a slot now, and when to ask again. */
  share(provider: Provider): Promise<{ take: number; lookAgainMs: number }>;
  claim(provider: Provider, slots: readonly Slot[]): Promise<Message[]>;
  /** Sends a claimed message. Never fails. */
  send(message: Message, provider: Provider, slot: Slot): Promise<void>;
  failed(error: unknown): void;
}

/**
 * Sends what waits through one free provider: sleeps while it is blocked, asks for as many permits as there
 * are messages when it opens, and claims as many messages as it was given permits.
 */
export class FreeQuotaDispatcher {
  private readonly nudge = new Wakeup();
  private readonly underWay = new Set<Promise<void>>();
  private isClosed = false;
  private running: Promise<void> | undefined;
  private opensAtMs = -Infinity;

  constructor(
    readonly provider: Provider,
    private readonly quota: Quota,
    private readonly work: LaneWork,
  ) {}

  /** How long the quota is known to stay closed, in milliseconds. */
  get opensInMs(): number {
    const { name, quota } = this.provider;
    return quota === undefined ? 0 : Math.max(this.opensAtMs - performance.now(), this.quota.blockedForMs(name));
  }

  start(): void {
    this.running = this.run();
  }

  /** There may be something to send. */
  wake(): void {
    this.nudge.give();
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.nudge.give();
    await this.running;
    await Promise.all(this.underWay);
  }

  private async run(): Promise<void> {
    while (!this.isClosed) {
      try {
        await this.nudge.wait(await this.round());
      } catch (error) {
        this.work.failed(error);
        await this.nudge.wait(RETRY_MS);
      }
    }
  }

  /** @returns in how many milliseconds to go on, unless nudged */
  private async round(): Promise<number> {
    if (this.opensInMs > PREPARE_MS) return this.opensInMs - PREPARE_MS;
    const { take, lookAgainMs } = await this.work.share(this.provider);
    // Somebody else may have used it up meanwhile: that is another block, and another look before it ends.
    if (this.opensInMs > PREPARE_MS) return this.opensInMs - PREPARE_MS;
    if (take > 0) await sleep(this.opensInMs);
    const wanted = Math.min(take, AT_ONCE - this.underWay.size);
    // Whoever ends nudges.
    if (wanted <= 0) return take > 0 ? POLL_MS : lookAgainMs;
    const slots = await this.reserve(wanted);
    if (slots.length === 0) return Math.max(this.opensInMs, 1);
    const messages = await this.claim(slots);
    for (const [index, slot] of slots.entries()) {
      const message = messages[index];
      if (message === undefined) this.giveBack(slot);
      else this.send(message, slot);
      // What was started goes out before the rest is prepared.
      if (index % STARTED_AT_ONCE === 0) await setImmediate();
    }
    return take > wanted ? 0 : lookAgainMs;
  }

  private async reserve(count: number): Promise<Slot[]> {
    const { name, quota } = this.provider;
    if (quota === undefined) return Array.from({ length: count }, () => undefined);
    const reservations = await Promise.all(Array.from({ length: count }, () => this.quota.reserve(name)));
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
    const sent = this.work.send(message, this.provider, slot).finally(() => {
      if (this.underWay.size === AT_ONCE) this.nudge.give();
      this.underWay.delete(sent);
    });
    this.underWay.add(sent);
  }
}
