import type { ChildProcess } from 'node:child_process';

/**
 * The next message of a child process.
 * @throws when the process exits first
 */
export function nextMessage(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const fail = (): void => reject(new Error('a process of the benchmark exited'));
    child.once('exit', fail);
    child.once('message', (message) => {
      child.off('exit', fail);
      resolve(message);
    });
  });
}
