import { Counter } from 'prom-client';

export const callbackTries = new Counter({
  name: 'octo_callback_tries_total',
  help: 'Tries to deliver a callback by what followed: delivered, retry or given up',
  labelNames: ['outcome'] as const,
});
