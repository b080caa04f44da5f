import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process';

const running = new Map<ChildProcess, NodeJS.Signals>();
process.once('exit', () => {
  for (const [child, signal] of running) child.kill(signal);
});

/**
 * Starts a server program of this machine. It does not outlive this process.
 * @param options.exitSignal stops the server with all its children
 */
export function spawnServer(
  program: string,
  args: readonly string[],
  { exitSignal = 'SIGKILL', ...options }: SpawnOptions & { exitSignal?: NodeJS.Signals } = {},
): ChildProcess {
  const child = spawn(program, args, { stdio: 'ignore', ...options });
  running.set(child, exitSignal);
  child.once('exit', () => running.delete(child));
  return child;
}

export function hasExited({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/** Resolves when the process has exited. */
export function stopProcess(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> {
  if (child === undefined || hasExited(child)) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill(signal);
  });
}
