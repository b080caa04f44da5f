import { ExpressionError } from '../../apps/gateway/src/providers/expressions.js';
import { type OutgoingMessage, ProviderClient } from '../../apps/gateway/src/providers/provider-client.js';
import type { Provider } from '../../apps/gateway/src/providers/providers-file.js';
import { MASK } from './inspect-file.js';

/** Runs of base64 or base64url that are long enough for a masked secret. */
const BASE64 = /[A-Za-z0-9+/_-]{4,}={0,2}/g;

/** The HTTP request of a message to a provider of a masked file, or why the message does not fit its template. */
export async function explainRequest(
  provider: Provider,
  message: OutgoingMessage,
): Promise<{ fits: boolean; text: string }> {
  try {
    const { method, path, headers, body } = await new ProviderClient().render(provider, message);
    const lines = headers.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${headers[index + 1] ?? ''}`] : []));
    const request = [`${method} ${provider.request.origin}${path}`, ...lines, ...(body === null ? [] : ['', body])];
    return { fits: true, text: maskDerived(request.join('\n')) };
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    return { fits: false, text: `the message does not fit the template: ${error.message}` };
  }
}

/** Replaces what an expression made of a masked secret: Basic authorization and other base64. */
function maskDerived(text: string): string {
  return text.replace(BASE64, (run) => (Buffer.from(run, 'base64').toString('latin1').includes(MASK) ? MASK : run));
}
