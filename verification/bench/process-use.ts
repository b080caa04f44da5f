import { readdirSync, readFileSync } from 'node:fs';

/** CPU time that these processes have used so far, all their threads together, in ms. Linux only. */
export function cpuMsOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuOf(pid), 0);
}

/** Memory of these processes that is in RAM, in MB. Linux only. */
export function residentMbOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + residentOf(pid), 0);
}

/** Those that this process has started and that have not ended. Linux only. */
export function childrenOf(pid: number): number[] {
  const isChild = (entry: string): boolean => {
    try {
      return /^PPid:\s+(\d+)$/m.exec(read(`/proc/${entry}/status`))?.[1] === String(pid);
    } catch {
      // Ended meanwhile.
      return false;
    }
  };
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && isChild(entry))
    .map(Number);
}

/** CPU time of the processes that this one has started and that have ended, in ms. Linux only. */
export function endedCpuMsOf(pid: number): number {
  // After the name, which may hold anything: cutime and cstime are numbers 16 and 17 of proc(5), in hundredths of a second.
  const fields = read(`/proc/${pid}/stat`)
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[13]) + Number(fields[14])) * 10;
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
