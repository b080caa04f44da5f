import { unwatchFile, watchFile } from 'node:fs';
import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { Counter, Gauge } from 'prom-client';
import { Quota } from '#quota';
import { SettingsError } from '#service';
import { type GatewaySettings, SETTINGS } from '../gateway.settings.js';
import { LiveProviders } from '../providers/live-providers.js';
import { ProviderClient } from '../providers/provider-client.js';
import { PROVIDERS, type ProvidersFile, readProvidersFile } from '../providers/providers-file.js';
import { Provisioning } from './provisioning.service.js';
import { quotasOf } from './quotas-of.js';

/** How often the gateway looks whether the file has changed. Polling also sees files behind links, as in Kubernetes. */
const POLL_MS = 1_000;

const isValid = new Gauge({
  name: 'octo_providers_file_valid',
  help: '1 if the providers file was valid when it was last read, 0 while an older version stays in force',
});

const loadedAt = new Gauge({
  name: 'octo_providers_file_loaded_timestamp_seconds',
  help: 'When the providers file in force was read',
});

const reloads = new Counter({
  name: 'octo_providers_file_reloads_total',
  help: 'How often the providers file was read again, by result: applied or rejected',
  labelNames: ['result'] as const,
});

/** Reads the providers file again when it changes, and on SIGHUP. An invalid file changes nothing. */
@Injectable()
export class Reload implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger('providers');
  private readonly path: string;
  private running = Promise.resolve();
  private lastProblems = '';
  private readonly reload = (): void => {
    this.running = this.running.then(() => this.apply());
  };

  constructor(
    @Inject(SETTINGS) settings: GatewaySettings,
    @Inject(PROVIDERS) private readonly live: LiveProviders,
    private readonly quota: Quota,
    private readonly provisioning: Provisioning,
    private readonly client: ProviderClient,
  ) {
    this.path = settings.PROVIDERS_FILE;
    isValid.set(1);
    loadedAt.setToCurrentTime();
    for (const result of ['applied', 'rejected']) reloads.inc({ result }, 0);
  }

  onApplicationBootstrap(): void {
    watchFile(this.path, { interval: POLL_MS, persistent: false }, this.reload);
    process.on('SIGHUP', this.reload);
  }

  onApplicationShutdown(): void {
    unwatchFile(this.path, this.reload);
    process.off('SIGHUP', this.reload);
  }

  private async apply(): Promise<void> {
    try {
      const file = readProvidersFile(this.path, process.env);
      await this.replace(file);
      isValid.set(1);
      loadedAt.setToCurrentTime();
      reloads.inc({ result: 'applied' });
      this.lastProblems = '';
      this.logger.log('providers file reloaded', { providers: file.providers.map(({ key }) => key) });
    } catch (error) {
      const problems = error instanceof SettingsError ? error.problems : [String(error)];
      isValid.set(0);
      reloads.inc({ result: 'rejected' });
      this.live.rejected = problems;
      this.logProblems(problems);
    }
  }

  /** A new account is known to Redis and Postgres before a message can use it: its count must not look forgotten. */
  private async replace(file: ProvidersFile): Promise<void> {
    this.quota.configure(quotasOf(file.providers));
    await this.provisioning.provisionNewOnes();
    this.live.replace(file);
    await this.client.closeAllBut(file.providers);
  }

  /** Once for each new set of problems: the file may be read again many times. */
  private logProblems(problems: readonly string[]): void {
    const text = problems.join('\n');
    if (text === this.lastProblems) return;
    this.lastProblems = text;
    this.logger.warn('providers file is not valid, the old one stays in force', { problems });
  }
}
