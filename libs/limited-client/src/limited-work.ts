import { type BeforeApplicationShutdown, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import type { Permit } from '#quota';
import { BackgroundLoop, OutageLog } from '#service';
import type { LimitedClient } from './limited-client.js';

/** Where the work is, and how one item of it is done. Many processes share one source. */
export interface WorkSource<Item> {
  /** How many items are due, counted up to `most`, and in how many milliseconds the next one is. */
  look(most: number): Promise<{ due: number; nextInMs: number }>;
  /** Takes up to `most` due items, which no other process gets meanwhile. */
  claim(most: number): Promise<Item[]>;
  /** Does one item, with a permit for one request. When it throws, the claim has to end by itself. */
  work(item: Item, permit: Permit): Promise<void>;
}

/** Items of one process at a time. */
const IN_FLIGHT_MAX = 16;
/** A process looks for work after this time, even if it is not woken. */
const IDLE_MS = 5_000;
const PAUSE_MIN_MS = 10;
/** After a failed round: the store of the work is down. */
const RETRY_MS = 1_000;

/**
 * Does work that needs a request each to a service with a limit. It takes permits first, and claims as many items: a claimed
 * item never waits for the limit. Between its rounds it sleeps until permits are granted again, the next item is due, or
 * `wake` is called.
 */
export class LimitedWork<Item> implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly outage = new OutageLog(new Logger('work'), {
    failed: 'work cannot be done',
    recovered: 'work is done again',
  });
  private readonly inFlight = new Set<Promise<void>>();
  /** Nothing was due. An item in flight may be the next one: its end wakes the loop. */
  private isIdle = false;
  private readonly loop = new BackgroundLoop(
    () => this.round(),
    (error) => this.failed(error),
  );

  constructor(
    private readonly client: LimitedClient,
    private readonly source: WorkSource<Item>,
  ) {}

  onApplicationBootstrap(): void {
    this.loop.start();
  }

  /** There may be new work. */
  wake(): void {
    this.loop.wake();
  }

  /** Finishes what is in flight. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.loop.close();
    await Promise.all(this.inFlight);
  }

  /** @returns the pause before the next round, in milliseconds */
  private async round(): Promise<number> {
    if (this.inFlight.size >= IN_FLIGHT_MAX) await Promise.race(this.inFlight);
    const { blockedForMs } = this.client;
    if (blockedForMs > 0) return blockedForMs;
    this.isIdle = true;
    const { due, nextInMs } = await this.source.look(IN_FLIGHT_MAX - this.inFlight.size);
    this.outage.recovered();
    if (due === 0) return Math.min(Math.max(nextInMs, PAUSE_MIN_MS), IDLE_MS);
    this.isIdle = false;
    const { permits, pauseMs } = await this.client.reserve(due);
    await this.startWork(permits);
    return pauseMs;
  }

  private async startWork(permits: readonly Permit[]): Promise<void> {
    if (permits.length === 0) return;
    const items = await this.source.claim(permits.length).catch((error: unknown) => {
      this.client.giveBack(permits);
      throw error;
    });
    this.client.giveBack(permits.slice(items.length));
    for (const [index, permit] of permits.slice(0, items.length).entries()) {
      this.start(this.source.work(items[index] as Item, permit));
    }
  }

  private start(work: Promise<void>): void {
    const running = work.catch((error: unknown) => void this.failed(error));
    this.inFlight.add(running);
    void running.finally(() => {
      this.inFlight.delete(running);
      if (this.isIdle) this.wake();
    });
  }

  private failed(error: unknown): number {
    this.outage.failed({ err: error });
    return RETRY_MS;
  }
}
