import { Counter } from 'prom-client';

export const messageOutcomes = new Counter({
  name: 'octo_attempts_total',
  help: 'Sends to providers by what came of them',
  labelNames: ['provider', 'outcome'] as const,
});
