import { type ChildProcess, fork } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface ProcessOptions {
  name: string;
  /** Compiled entry file. */
  entry: string;
  env: NodeJS.ProcessEnv;
  /** Options of Node. By default stack traces name lines of the sources. */
  nodeOptions?: string[];
  onLine: (name: string, line: string) => void;
}

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 10_000;
/** Last lines of output, shown when a start fails. */
const KEPT_LINES = 40;

/** A process that reports when it is ready, restarts when it dies, and stops with the stack. */
export class ManagedProcess {
  /** The message with which the process reported that it is ready. */
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
   * Resolves when the process is ready; from then on it restarts when it dies.
   * @throws with the end of its log when it dies before that
   */
  async start(): Promise<void> {
    const child = this.spawn();
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        // It must not run on beside its replacement.
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
    child.once('close', (code, signal) => this.restart(signal ?? `code ${code}`));
    if (child.exitCode !== null || child.signalCode !== null) this.restart('at once');
  }

  /** Stops the process for good: SIGTERM, then SIGKILL after 10 s. */
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
      // A separate process group: Ctrl-C reaches only the launcher, which stops the processes in order.
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

  private restart(how: string): void {
    if (this.isStopping) return;
    this.failures += 1;
    const delayMs = Math.min(100 * 2 ** this.failures, 5_000);
    const { name, onLine } = this.options;
    onLine(name, JSON.stringify({ level: 'warn', event: 'process ended, restarting', how, delayMs }));
    setTimeout(() => {
      if (this.isStopping) return;
      this.start().catch((error: unknown) => {
        if (error instanceof Error) this.restart(error.message.split('\n', 1)[0] ?? '');
      });
    }, delayMs);
  }

  private failed(how: string): Error {
    return new Error(`${this.options.name} ${how}. Its log:\n${this.lines.map((line) => `  ${line}`).join('\n')}`);
  }
}
