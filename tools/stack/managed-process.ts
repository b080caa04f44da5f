import { type ChildProcess, fork } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface ProcessOptions {
  name: string;
  /** Compiled entry file. */
  entry: string;
  env: NodeJS.ProcessEnv;
  /** Options of Node; without them it names places in the sources. */
  nodeOptions?: string[];
  onLine: (name: string, line: string) => void;
}

/** How long a process may take until it says it is ready, in milliseconds. */
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 10_000;
/** How many lines are kept to explain a start that failed. */
const KEPT_LINES = 40;

/** A process of the stack: ready once it says so, started again when it dies, stopped with the stack. */
export class ManagedProcess {
  /** What it said when it became ready. */
  readyMessage: unknown;

  private child: ChildProcess | undefined;
  private readonly lines: string[] = [];
  private isStopping = false;
  private failures = 0;

  constructor(private readonly options: ProcessOptions) {}

  get name(): string {
    return this.options.name;
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  /**
   * Resolves when the process is ready; from then on it is kept running.
   * @throws with the end of its log when it ends before that
   */
  async start(): Promise<void> {
    const child = this.spawn();
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        // It must not live on beside the one that is started instead.
        child.kill('SIGKILL');
        reject(this.failed('was not ready in time'));
      }, START_TIMEOUT_MS);
      child.once('message', (message) => {
        this.readyMessage = message;
        resolve();
      });
      child.once('close', (code, signal) => reject(this.failed(`ended with ${signal ?? `code ${code}`}`)));
      child.once('error', (error) => reject(this.failed(error.message)));
      child.once('message', () => clearTimeout(timer));
      child.once('close', () => clearTimeout(timer));
    });
    this.failures = 0;
    child.removeAllListeners('close');
    child.once('close', (code, signal) => this.startAgain(signal ?? `code ${code}`));
    if (child.exitCode !== null || child.signalCode !== null) this.startAgain('at once');
  }

  /** Ends it for good: SIGTERM, and SIGKILL when that is not enough. */
  async stop(): Promise<void> {
    this.isStopping = true;
    const { child } = this;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      child.once('exit', () => {
        clearTimeout(timer);
        resolve();
      });
      child.kill('SIGTERM');
    });
  }

  kill(signal: NodeJS.Signals): void {
    this.child?.kill(signal);
  }

  private spawn(): ChildProcess {
    const { entry, env, name, nodeOptions = ['--enable-source-maps'], onLine } = this.options;
    this.lines.length = 0;
    const child = fork(entry, {
      env,
      // A group of its own: Ctrl-C reaches only the launcher, which stops everything in order.
      detached: true,
      execArgv: [...nodeOptions, '--disable-warning=ExperimentalWarning'],
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.child = child;
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      createInterface(stream).on('line', (line) => {
        this.lines.push(line);
        if (this.lines.length > KEPT_LINES) this.lines.shift();
        onLine(name, line);
      });
    }
    return child;
  }

  private startAgain(how: string): void {
    if (this.isStopping) return;
    this.failures += 1;
    const delayMs = Math.min(100 * 2 ** this.failures, 5_000);
    const { name, onLine } = this.options;
    onLine(name, JSON.stringify({ level: 'warn', event: 'ended unexpectedly, starting again', how, delayMs }));
    setTimeout(() => {
      if (this.isStopping) return;
      this.start().catch((error: unknown) => {
        if (error instanceof Error) this.startAgain(error.message.split('\n', 1)[0] ?? '');
      });
    }, delayMs);
  }

  private failed(how: string): Error {
    return new Error(`${this.options.name} ${how}. Its log:\n${this.lines.map((line) => `  ${line}`).join('\n')}`);
  }
}
