import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { answerOf } from './answer-of.js';

/** What is sent, again and again; each connection sends to one of the origins. */
export interface Target {
  origins: readonly string[];
  path: string;
  headers: Record<string, string>;
  body: string;
  /** The status of a good answer. */
  status: number;
  /** A file with a cookie in each line: the requests take turns. */
  cookiesFile?: string;
}

/** How it is sent. */
export interface Shape {
  /** Most requests under way at once. */
  connections: number;
  durationMs: number;
  /** How many, if the time does not end first. */
  atMost?: number;
  /** In all; without it each connection sends as soon as it has its answer. */
  perSecond?: number;
}

export interface LoadResult {
  /** As they should be. */
  answered: number;
  failed: number;
  tookMs: number;
  latencyMs: { p50: number; p99: number; p999: number };
}

export interface LoadOrder {
  target: Target;
  shape: Shape;
}

/** A client in a process of its own, the same for everybody that is measured. */
export class LoadGenerator {
  private constructor(private readonly child: ChildProcess) {}

  static async start(): Promise<LoadGenerator> {
    const child = fork(join(import.meta.dirname, 'load-process.js'), {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    await answerOf(child);
    return new LoadGenerator(child);
  }

  async run(target: Target, shape: Shape): Promise<LoadResult> {
    this.child.send({ target, shape } satisfies LoadOrder);
    return (await answerOf(this.child)) as LoadResult;
  }

  stop(): void {
    this.child.kill();
  }
}
