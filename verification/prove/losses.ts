import { type PodLog, recordsOf, type RunLog } from './run-log.js';

/** Messages of which nobody heard, though their pod had the time to tell. */
export function unexplained({ arrivals, records, killedAtMs = Infinity }: PodLog, timeoutMs: number): string[] {
  const told = new Set(records.map(({ id }) => id));
  return arrivals.filter(({ id, atMs }) => !told.has(id) && atMs < killedAtMs - timeoutMs).map(({ id }) => id);
}

/** Beyond one delivery for each message; what died with its pod may have been accepted. */
export function sentTwice(log: RunLog, { free, timeoutMs }: { free: number; timeoutMs: number }): number {
  const records = recordsOf(log);
  const toldTwice = records.length - new Set(records.map(({ id }) => id)).size;
  const mayBeFree = records.filter(({ outcome }) => outcome === 'free' || outcome === 'unknown').length;
  const silenced = log.pods.reduce((sum, pod) => sum + cutOff(pod, timeoutMs), 0);
  return toldTwice + Math.max(0, free - mayBeFree - silenced);
}

/** Messages that may have been under way when their pod was killed. */
function cutOff({ arrivals, records, killedAtMs }: PodLog, timeoutMs: number): number {
  if (killedAtMs === undefined) return 0;
  const told = new Set(records.map(({ id }) => id));
  return arrivals.filter(({ id, atMs }) => !told.has(id) && killedAtMs - timeoutMs <= atMs && atMs <= killedAtMs)
    .length;
}
