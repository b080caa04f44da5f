import { type ChildProcess, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { freePort } from '../../tools/stack/free-port.js';
import { waitUntil } from '../../tools/stack/wait-until.js';
import { hasExited, spawnServer, stopProcess } from './spawn-server.js';

export const NO_PROMETHEUS = 'no prometheus and promtool on the PATH: install the package prometheus';

/** Whether this machine has a Prometheus and its tool. */
export function hasPrometheus(): boolean {
  return ['prometheus', 'promtool'].every((program) => spawnSync(program, ['--version']).status === 0);
}

/** What a query returns: the last value of each series. */
export interface Sample {
  metric: Record<string, string>;
  value: number;
}

/** A Prometheus process of this machine, on a free port and a temporary folder. */
export class PrometheusServer {
  private constructor(
    private readonly dir: string,
    private readonly child: ChildProcess,
    private readonly origin: string,
  ) {}

  /** @param config as in prometheus.yml */
  static async start(config: object): Promise<PrometheusServer> {
    const dir = mkdtempSync(join(tmpdir(), 'octo-prometheus-'));
    const file = join(dir, 'prometheus.yml');
    writeFileSync(file, stringify(config));
    const address = `127.0.0.1:${await freePort()}`;
    const paths = [`--config.file=${file}`, `--storage.tsdb.path=${join(dir, 'data')}`];
    const child = spawnServer('prometheus', [...paths, `--web.listen-address=${address}`, '--log.level=error']);
    const server = new PrometheusServer(dir, child, `http://${address}`);
    await waitUntil(() => server.isReady(), { what: 'Prometheus is ready' });
    return server;
  }

  /** @throws Error when Prometheus refuses the query */
  async query(promql: string): Promise<Sample[]> {
    const body = (await this.get('query', { query: promql })) as {
      result: { metric: object; value: [number, string] }[];
    };
    return body.result.map(({ metric, value: [, value] }) => ({ metric: { ...metric }, value: Number(value) }));
  }

  /** By the name of the rule: `ok`, or `err` when it could not be evaluated. */
  async ruleHealth(): Promise<Record<string, string>> {
    const { groups } = (await this.get('rules')) as { groups: { rules: { name: string; health: string }[] }[] };
    return Object.fromEntries(groups.flatMap(({ rules }) => rules.map(({ name, health }) => [name, health])));
  }

  async stop(): Promise<void> {
    await stopProcess(this.child, 'SIGKILL');
    rmSync(this.dir, { recursive: true, force: true });
  }

  private async isReady(): Promise<boolean> {
    if (hasExited(this.child)) throw new Error(`prometheus ended with code ${this.child.exitCode}`);
    return fetch(`${this.origin}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
  }

  private async get(path: string, params: Record<string, string> = {}): Promise<unknown> {
    const response = await fetch(`${this.origin}/api/v1/${path}?${new URLSearchParams(params).toString()}`);
    const answer = (await response.json()) as { status: string; error?: string; data: unknown };
    if (answer.status !== 'success') throw new Error(`Prometheus refuses ${params['query'] ?? path}: ${answer.error}`);
    return answer.data;
  }
}
