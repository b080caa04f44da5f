import { Inject, Injectable } from '@nestjs/common';
import { Gauge } from 'prom-client';
import { Quota } from '#quota';
import { Journal } from '../journal/journal.service.js';
import { MessageLimits } from '../messages/message-limits.service.js';
import { AccountHealth } from '../providers/account-health.service.js';
import type { LiveProviders } from '../providers/live-providers.js';
import { ProviderClient } from '../providers/provider-client.js';
import { PROVIDERS, type ProvidersFile } from '../providers/providers-file.js';
import { startLagSeries } from '../quota/measure-quota-steps.js';
import { startQuotaSeries } from '../quota/report-quota-events.js';
import { startMessageSeries } from './message-metrics.js';

/** Gauges of this pod, from its memory. */
@Injectable()
export class PodGauges {
  constructor(
    @Inject(PROVIDERS) config: LiveProviders,
    quota: Quota,
    journal: Journal,
    limits: MessageLimits,
    health: AccountHealth,
    client: ProviderClient,
  ) {
    startSeries(config);
    config.onReplaced(() => startSeries(config));
    new Gauge({
      name: 'octo_messages_in_flight',
      help: 'Messages whose callers wait for an answer of this pod',
      collect() {
        this.set(limits.messagesInFlight);
      },
    });
    new Gauge({
      name: 'octo_account_paused',
      help: '1 while this pod does not send to a provider account, or only probes it, because it failed or refused',
      labelNames: ['account'],
      collect() {
        this.reset();
        for (const provider of config.providers) {
          this.set({ account: provider.key }, health.isInTrouble(provider) ? 1 : 0);
        }
      },
    });
    new Gauge({
      name: 'octo_store_up',
      help: '1 while this pod can use the store: Redis for quotas and budgets, Postgres for the journal',
      labelNames: ['store'],
      collect() {
        this.set({ store: 'redis' }, quota.isConnected ? 1 : 0);
        this.set({ store: 'postgres' }, journal.isDown ? 0 : 1);
      },
    });
    new Gauge({
      name: 'octo_journal_lag_seconds',
      help: 'How long the oldest statement in flight of the journal has taken so far; messages wait behind it',
      collect() {
        this.set(journal.lagMs / 1_000);
      },
    });
    new Gauge({
      name: 'octo_provider_connections',
      help: 'Open connections of this pod to a provider account, without those through a proxy',
      labelNames: ['account'],
      collect() {
        this.reset();
        for (const { key, connected } of client.connectionCounts()) this.set({ account: key }, connected);
      },
    });
    new Gauge({
      name: 'octo_provider_requests',
      help: 'Requests of this pod to a provider account: in flight, or queued for a connection',
      labelNames: ['account', 'state'],
      collect() {
        this.reset();
        for (const { key, running, queued } of client.connectionCounts()) {
          this.set({ account: key, state: 'in_flight' }, running);
          this.set({ account: key, state: 'queued' }, queued);
        }
      },
    });
  }
}

function startSeries(config: ProvidersFile): void {
  startMessageSeries(config);
  startQuotaSeries(config);
  startLagSeries(config);
}
