import type { Logger } from '@nestjs/common';

/** Logs an outage twice: a warning when it begins and a line when it is over, not each failure in between. */
export class OutageLog {
  private hasFailed = false;

  constructor(
    private readonly logger: Pick<Logger, 'log' | 'warn'>,
    private readonly texts: { failed: string; recovered: string },
  ) {}

  get isDown(): boolean {
    return this.hasFailed;
  }

  /** @param fields logged with the first failure only */
  failed(fields: object = {}): void {
    if (!this.hasFailed) this.logger.warn(this.texts.failed, fields);
    this.hasFailed = true;
  }

  recovered(fields: object = {}): void {
    if (this.hasFailed) this.logger.log(this.texts.recovered, fields);
    this.hasFailed = false;
  }
}
