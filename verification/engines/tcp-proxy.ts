import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** Forwards real connections between clients and a server. A test can delay or break them. */
export class TcpProxy {
  private readonly pairs = new Set<{ client: Socket; server: Socket }>();
  private isHoldingReplies = false;
  private replyDelayMs = 0;
  private isDown = false;

  private constructor(
    private readonly listener: Server,
    readonly port: number,
  ) {}

  static async to(target: { host: string; port: number }): Promise<TcpProxy> {
    const listener = createServer();
    await once(listener.listen(0, '127.0.0.1'), 'listening');
    const address = listener.address();
    const proxy = new TcpProxy(listener, typeof address === 'object' && address !== null ? address.port : 0);
    listener.on('connection', (client) => {
      if (proxy.isDown) client.destroy();
      else proxy.join(client, connect(target.port, target.host));
    });
    return proxy;
  }

  /** Keeps the server's replies back; requests go through. */
  holdReplies(): void {
    this.isHoldingReplies = true;
    for (const { server } of this.pairs) server.pause();
  }

  releaseReplies(): void {
    this.isHoldingReplies = false;
    for (const { server } of this.pairs) server.resume();
  }

  /** Each reply from now on reaches its client this much later, as from a slow disk. */
  delayReplies(ms: number): void {
    this.replyDelayMs = ms;
  }

  /** Breaks all connections. Replies kept back are lost. */
  cut(): void {
    this.isHoldingReplies = false;
    for (const { client, server } of this.pairs) {
      client.destroy();
      server.destroy();
    }
  }

  /** Acts like a server that is down: breaks all connections and, until `comeBack`, every new one. */
  goDown(): void {
    this.isDown = true;
    this.cut();
  }

  comeBack(): void {
    this.isDown = false;
  }

  async close(): Promise<void> {
    this.cut();
    await once(this.listener.close(), 'close');
  }

  private join(client: Socket, server: Socket): void {
    const pair = { client, server };
    this.pairs.add(pair);
    client.setNoDelay(true);
    server.setNoDelay(true);
    client.on('data', (chunk) => server.write(chunk));
    server.on('data', (chunk) => this.forward(chunk, client));
    if (this.isHoldingReplies) server.pause();
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => {
        other.destroy();
        this.pairs.delete(pair);
      });
    }
  }

  /** Timers of one delay fire in order, so that delayed replies keep theirs. */
  private forward(reply: Buffer, client: Socket): void {
    if (this.replyDelayMs === 0) client.write(reply);
    else setTimeout(() => client.writable && client.write(reply), this.replyDelayMs);
  }
}
