import { readdirSync, readFileSync } from 'node:fs';

/** CPU time of these processes so far, all threads together, in ms. Linux only. */
export function cpuMsOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuOf(pid), 0);
}

/** Resident memory of these processes, in MB. Linux only. */
export function residentMbOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + residentOf(pid), 0);
}

/** Running child processes. Linux only. */
export function childrenOf(pid: number): number[] {
  const isChild = (entry: string): boolean => {
    try {
      return /^PPid:\s+(\d+)$/m.exec(read(`/proc/${entry}/status`))?.[1] === String(pid);
    } catch {
      // The process has exited.
      return false;
    }
  };
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && isChild(entry))
    .map(Number);
}

/** The first number of `schedstat`: time on a CPU, in ns (Documentation/scheduler/sched-stats.rst). */
function cpuOf(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.reduce(
    (sum, thread) => sum + Number(/^\d+/.exec(read(`/proc/${pid}/task/${thread}/schedstat`))) / 1e6,
    0,
  );
}

function residentOf(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) / 1_024;
}

function read(path: string): string {
  return readFileSync(path, 'utf8');
}
