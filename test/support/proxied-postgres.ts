import { startPostgres } from '../../verification/engines/suite-postgres.js';
import { TcpProxy } from '../../verification/engines/tcp-proxy.js';

export interface ProxiedPostgres {
  /** Of the proxy. */
  url: string;
  /** Of Postgres itself. */
  directUrl: string;
  proxy: TcpProxy;
  stop: () => Promise<void>;
}

/** Postgres behind a proxy that can break, hold up or delay its replies. */
export async function startProxiedPostgres(): Promise<ProxiedPostgres> {
  const postgres = await startPostgres();
  const url = new URL(postgres.url);
  const proxy = await TcpProxy.to({ host: url.hostname, port: Number(url.port) });
  url.port = String(proxy.port);
  const stop = async (): Promise<void> => {
    await proxy.close();
    await postgres.stop();
  };
  return { url: url.href, directUrl: postgres.url, proxy, stop };
}
