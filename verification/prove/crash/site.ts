import type { ManagedProcess } from '../../../tools/stack/managed-process.js';
import { waitUntil } from '../../../tools/stack/wait-until.js';
import { putFaults } from '../faults.js';
import { freeQuota, System } from '../../testbed/system.js';
import type { Extent, Strike } from './plan.js';

/** So slow that whoever is killed has messages on their way. */
const LATENCY_MS = 80;
/** Some windows a minute of a size that leaves something to pay for. */
const QUOTA = freeQuota({ limit: 40, blockMs: 1_000 });

/** A system that is struck at. */
export class Site {
  readonly system = new System();
  private readonly struck = new Map<string, number | undefined>();

  async start({ pods }: Extent): Promise<void> {
    await this.system.start({ pods, env: QUOTA });
    const { free, paid } = this.system.origins;
    await Promise.all([free, paid].map((origin) => putFaults(origin, { latencyMs: LATENCY_MS })));
  }

  /** @returns whether there was anything to strike at */
  async strike({ at, draw }: Strike): Promise<boolean> {
    if (at === 'pod') return this.killPod(draw);
    this.system.note(at, 'is crashed');
    const engine = this.system.engine(at);
    await engine.crash();
    await engine.startAgain();
    return true;
  }

  async untilReady(deadlineMs: number): Promise<void> {
    const isReady = async (origin: string): Promise<boolean> =>
      fetch(`${origin}/health/ready`).then(
        ({ ok }) => ok,
        () => false,
      );
    const areReady = async (): Promise<boolean> =>
      (await Promise.all(this.system.origins.gateways.map(isReady))).every((ready) => ready);
    await waitUntil(areReady, { what: 'every gateway is ready', deadlineMs, everyMs: 100 });
  }

  /** One that was killed is gone until it has another process id. */
  private killPod(draw: number): boolean {
    const pods = this.system.processes.filter(({ name }) => name.startsWith('gateway'));
    const alive = pods.filter(({ name, pid }) => pid !== undefined && this.struck.get(name) !== pid);
    const victim: ManagedProcess | undefined = alive[Math.floor(draw * alive.length)];
    if (victim === undefined) return false;
    this.struck.set(victim.name, victim.pid);
    this.system.note(victim.name, `is killed, process ${victim.pid}`);
    victim.kill('SIGKILL');
    return true;
  }
}
