import { Logger } from '@nestjs/common';
import { databaseReason } from '#database';
import { BackgroundLoop, OutageLog } from '#service';

/** Reads from Postgres at intervals. While Postgres does not answer, what was read last stays in force. */
export class PostgresPoll {
  private readonly outage: OutageLog;
  private readonly loop: BackgroundLoop;

  /** @param what is read, for the log */
  constructor(
    private readonly read: () => Promise<void>,
    { everyMs, what }: { everyMs: number; what: string },
  ) {
    this.outage = new OutageLog(new Logger('postgres'), {
      failed: `cannot read ${what}`,
      recovered: `can read ${what} again`,
    });
    this.loop = new BackgroundLoop(
      async () => {
        await this.readOnce();
        return everyMs;
      },
      () => everyMs,
    );
  }

  /** Resolves after the first read, also if it failed. */
  async start(): Promise<void> {
    await this.readOnce();
    this.loop.start();
  }

  async close(): Promise<void> {
    await this.loop.close();
  }

  private async readOnce(): Promise<void> {
    try {
      await this.read();
      this.outage.recovered();
    } catch (error) {
      this.outage.failed({ reason: databaseReason(error) });
    }
  }
}
