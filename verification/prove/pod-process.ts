import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { MessageRecord, PodOrder, PodReport, PodStart, PodSummary } from './message-record.js';

/** A pod as its parent sees it. */
export class PodProcess {
  readonly records: MessageRecord[] = [];
  summary: PodSummary | undefined;
  /** When it was killed, in ms since 1970. */
  killedAtMs: number | undefined;
  wasPaused = false;
  /** It is gone, and all that it told has been read. */
  private readonly over: Promise<unknown>;

  private constructor(
    private readonly child: ChildProcess,
    readonly order: PodOrder,
  ) {
    child.on('message', (report: PodReport) => this.note(report));
    this.over = Promise.all([once(child, 'exit'), once(child, 'disconnect')]);
  }

  /** Resolves when it waits for the start. */
  static async start(order: PodOrder): Promise<PodProcess> {
    const child = fork(join(import.meta.dirname, 'pod.js'), { execArgv: ['--enable-source-maps'] });
    const pod = new PodProcess(child, order);
    child.send(order);
    const isReady = await Promise.race([once(child, 'message').then(() => true), pod.over.then(() => false)]);
    if (!isReady) throw new Error('a pod ended before it was ready');
    return pod;
  }

  /** Resolves when it has no more to tell, however it ended. */
  async run(start: PodStart): Promise<void> {
    this.child.send(start);
    await this.over;
  }

  kill(): void {
    this.killedAtMs = performance.timeOrigin + performance.now();
    this.child.kill('SIGKILL');
  }

  pause(): void {
    this.wasPaused = true;
    this.child.kill('SIGSTOP');
  }

  resume(): void {
    this.child.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.over;
  }

  private note(report: PodReport): void {
    if (report === 'ready') return;
    if ('record' in report) this.records.push(report.record);
    else this.summary = report.summary;
  }
}
