import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { stopProcess } from '../../engines/spawn-server.js';
import type { MessageRecord, PodOrder, PodReport, PodStart, PodSummary } from './pod-protocol.js';

/** The parent's side of a pod. */
export class PodProcess {
  readonly records: MessageRecord[] = [];
  summary: PodSummary | undefined;
  wasPaused = false;
  /** Resolves when the process has exited and all its reports are read. */
  private readonly over: Promise<unknown>;

  private constructor(
    private readonly child: ChildProcess,
    readonly order: PodOrder,
  ) {
    child.on('message', (report: PodReport) => this.note(report));
    this.over = Promise.all([once(child, 'exit'), once(child, 'disconnect')]);
  }

  /** Resolves when the pod waits for its start. */
  static async start(order: PodOrder): Promise<PodProcess> {
    const child = fork(join(import.meta.dirname, 'pod.js'), { execArgv: ['--enable-source-maps'] });
    const pod = new PodProcess(child, order);
    child.send(order);
    const isReady = await Promise.race([once(child, 'message').then(() => true), pod.over.then(() => false)]);
    if (!isReady) throw new Error('a pod exited before it was ready');
    return pod;
  }

  /** Resolves when the pod has exited, for whatever reason. */
  async run(start: PodStart): Promise<void> {
    this.child.send(start);
    await this.over;
  }

  signal(signal: NodeJS.Signals): void {
    this.wasPaused ||= signal === 'SIGSTOP';
    this.child.kill(signal);
  }

  stop(): Promise<void> {
    return stopProcess(this.child, 'SIGKILL');
  }

  private note(report: PodReport): void {
    if (report === 'ready') return;
    if ('record' in report) this.records.push(report.record);
    else this.summary = report.summary;
  }
}
