import { postMessage } from '../../../test/support/client.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { quotaOf } from './quota-of.js';
import { startStubProvider } from './stub-provider.js';

/**
 * Waits until the gateway delivers by a provider again after a test that made it fail: the gateway pauses a failing
 * account. The provider needs a channel of its own, with the same name.
 */
export async function recovered(gateway: string, cookie: string, provider: string): Promise<void> {
  const isDelivering = async (): Promise<boolean> => {
    const { status } = await postMessage(gateway, cookie, { message: 'probe', channel: provider });
    return status === 200 && (await quotaOf(gateway, cookie, provider)).state !== 'paused';
  };
  await waitUntil(isDelivering, { what: `${provider} delivers again`, everyMs: 50 });
}

/** As `recovered`, for a provider at a port where nothing listens: for this one message something does. */
export async function recoveredOnce(gateway: string, cookie: string, provider: string, port: number): Promise<void> {
  const stub = await startStubProvider(port);
  try {
    await recovered(gateway, cookie, provider);
  } finally {
    await stub.stop();
  }
}
