import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { stopProcess } from '../engines/spawn-server.js';
import { nextMessage } from './next-message.js';

/** The request that is sent again and again. */
export interface Target {
  origin: string;
  path: string;
  headers: Record<string, string>;
  body: string;
  /** The status of a good answer. */
  status: number;
}

export interface Shape {
  /** The most requests in flight. */
  connections: number;
  durationMs: number;
  /** Of all connections together. Undefined: each connection sends as soon as it has its answer. */
  perSecond?: number;
}

export interface LoadResult {
  /** Requests with a good answer. */
  answered: number;
  failed: number;
  tookMs: number;
  latencyMs: { p50: number; p99: number };
}

export interface LoadOrder {
  target: Target;
  shape: Shape;
}

/** A client in a process of its own, the same for everything that is measured. */
export class LoadGenerator {
  private constructor(private readonly child: ChildProcess) {}

  static async start(): Promise<LoadGenerator> {
    const child = fork(join(import.meta.dirname, 'load-process.js'), {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    await nextMessage(child);
    return new LoadGenerator(child);
  }

  async run(target: Target, shape: Shape): Promise<LoadResult> {
    this.child.send({ target, shape } satisfies LoadOrder);
    return (await nextMessage(this.child)) as LoadResult;
  }

  stop(): Promise<void> {
    return stopProcess(this.child, 'SIGTERM');
  }
}
