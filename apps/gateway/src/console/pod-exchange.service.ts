import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { type PodTotals, podTotalsSchema } from '#contracts';
import type { RedisConnection } from '#redis';
import { openRedis } from '#service';
import { type GatewaySettings, SETTINGS } from '../gateway.settings.js';
import { POD } from '../message.js';
import { MessageTally } from './message-tally.js';

/** A pod that serves a console asks all pods for their totals here. */
const ASK_CHANNEL = 'console:ask';
/** Every pod answers here, for all pods that ask. */
const TOTALS_CHANNEL = 'console:totals';
/** However many pods ask, a pod answers once in this time. */
const ANSWER_EVERY_MS = 500;
/** A pod that has not answered for this long has ended. */
const SILENT_MS = 5_000;

/** The totals of all pods, by Redis pub/sub. While no console is open, the pods exchange nothing. */
@Injectable()
export class PodExchange implements OnApplicationShutdown {
  private readonly commands: RedisConnection;
  private readonly subscription: RedisConnection;
  private readonly others = new Map<string, { totals: PodTotals; heardMs: number }>();
  private answeredMs = -Infinity;

  constructor(
    @Inject(SETTINGS) { REDIS_URL }: GatewaySettings,
    private readonly tally: MessageTally,
  ) {
    this.commands = openRedis({ url: REDIS_URL, use: 'totals of the console' });
    this.subscription = openRedis({ url: REDIS_URL, use: 'subscription to totals', autoResubscribe: false });
    this.subscription.on('ready', () => void this.subscribe());
    this.subscription.on('message', (channel, message: string) =>
      channel === ASK_CHANNEL ? void this.answer() : this.hear(message),
    );
  }

  /** Asks all pods. @returns what this pod has done, and what the others answered to the question before */
  async totals(): Promise<PodTotals[]> {
    await this.publish(ASK_CHANNEL, POD);
    const nowMs = performance.now();
    for (const [pod, { heardMs }] of this.others) if (nowMs - heardMs > SILENT_MS) this.others.delete(pod);
    return [await this.tally.totals(), ...[...this.others.values()].map(({ totals }) => totals)];
  }

  onApplicationShutdown(): void {
    this.commands.disconnect();
    this.subscription.disconnect();
  }

  private async subscribe(): Promise<void> {
    // A subscription that failed is lost with its connection, and made again on the next one.
    await this.subscription.subscribe(ASK_CHANNEL, TOTALS_CHANNEL).catch(() => undefined);
  }

  private async answer(): Promise<void> {
    const nowMs = performance.now();
    if (nowMs - this.answeredMs < ANSWER_EVERY_MS) return;
    this.answeredMs = nowMs;
    await this.publish(TOTALS_CHANNEL, JSON.stringify(await this.tally.totals()));
  }

  private hear(message: string): void {
    const parsed = podTotalsSchema.safeParse(JSON.parse(message));
    // A pod of another release may say more or less.
    if (!parsed.success || parsed.data.pod === POD) return;
    this.others.set(parsed.data.pod, { totals: parsed.data, heardMs: performance.now() });
  }

  /** Without Redis a console shows this pod alone. */
  private async publish(channel: string, message: string): Promise<void> {
    await this.commands.publish(channel, message).catch(() => undefined);
  }
}
