import type { SendResult } from '../../apps/gateway/src/providers/answer-reader.js';
import { ExpressionError } from '../../apps/gateway/src/providers/expressions.js';
import { notRendered, type OutgoingMessage, ProviderClient } from '../../apps/gateway/src/providers/provider-client.js';
import type { Provider } from '../../apps/gateway/src/providers/providers-file.js';

/** Sends one message to one provider, without quota, journal and circuit breaker. @returns what to print */
export async function probeProvider(
  provider: Provider,
  message: OutgoingMessage,
): Promise<{ isDelivered: boolean; text: string }> {
  const client = new ProviderClient();
  const startedMs = performance.now();
  const result = await send(client, provider, message);
  const tookMs = Math.round(performance.now() - startedMs);
  await client.closeAllBut([]);
  const rows = [
    ['outcome', result.outcome],
    ['status', result.httpStatus ?? 'none'],
    ['time', `${tookMs} ms`],
    ...detailsOf(result, provider),
    ['counts', countOf(result)],
  ];
  return {
    isDelivered: result.outcome === 'delivered',
    text: rows.map(([name, value]) => `${String(name).padEnd(8)} ${String(value)}`).join('\n'),
  };
}

async function send(client: ProviderClient, provider: Provider, message: OutgoingMessage): Promise<SendResult> {
  try {
    return await client.send(provider, await client.render(provider, message));
  } catch (error) {
    if (error instanceof ExpressionError) return notRendered(error);
    throw error;
  }
}

function detailsOf(result: SendResult, { priceMicros, currency }: Provider): [name: string, value: string][] {
  if (result.outcome === 'delivered') {
    const costMicros = result.costMicros ?? priceMicros;
    return [
      ['response', JSON.stringify(result.response)],
      ['cost', `${costMicros / 1_000_000} ${currency}`],
    ];
  }
  return [
    ['reason', result.reason],
    ...(result.outcome === 'rejected' ? [['detail', result.detail] as [string, string]] : []),
  ];
}

/** What the quota of the account would count. */
function countOf({ settlement }: SendResult): string {
  switch (settlement.outcome) {
    case 'accepted':
      return 'one request';
    case 'refused': {
      const waitMs = settlement.announced?.retryAfterMs;
      return `nothing; the account is blocked${waitMs === undefined ? '' : ` for ${waitMs / 1_000} s`}`;
    }
    case 'notSent':
      return 'nothing';
    default:
      return 'one request, because the provider may have counted it';
  }
}
