import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { commonSettings } from '#service';

interface Service {
  [field: string]: unknown;
  cap_add?: string[];
  environment?: Record<string, string | null>;
  networks?: string[];
  ports?: string[];
  profiles?: string[];
  user?: string;
  volumes?: string[];
}

const file = parse(readFileSync('docker-compose.yml', 'utf8'), { merge: true }) as {
  services: Record<string, Service>;
  networks: Record<string, { internal?: boolean } | null>;
};
const services = Object.entries(file.services);
/** Needs these to become an unprivileged user. */
const CAPABILITIES: Record<string, string[]> = {
  postgres: ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'SETGID', 'SETUID'],
  redis: ['SETGID', 'SETPCAP', 'SETUID'],
};

describe('docker-compose.yml', () => {
  it.each(services)('hardens %s', (name, service) => {
    expect(service).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      cpus: expect.any(Number),
      mem_limit: expect.stringMatching(/^\d+[mg]$/),
      pids_limit: expect.any(Number),
      restart: name === 'secrets' ? 'no' : 'unless-stopped',
    });
    expect(service.cap_add ?? []).toEqual(CAPABILITIES[name] ?? []);
    expect(
      ['privileged', 'devices', 'network_mode', 'pid', 'ipc', 'env_file'].filter((field) => field in service),
    ).toEqual([]);
  });

  it.each(services.filter(([name]) => name !== 'secrets'))('checks the health of %s', (_name, service) => {
    expect(service).toMatchObject({ healthcheck: { test: expect.any(Array) } });
  });

  it('publishes nginx on loopback unless PUBLISH_ADDRESS says otherwise, and observability on loopback only', () => {
    const published = services.filter(([, { ports }]) => ports !== undefined);
    expect(published.map(([name, { ports }]) => [name, ports])).toEqual([
      ['nginx', ['${PUBLISH_ADDRESS:-127.0.0.1}:${GATEWAY_PORT:-3000}:3000']],
      ['prometheus', ['127.0.0.1:${PROMETHEUS_PORT:-9090}:9090']],
      ['grafana', ['127.0.0.1:${GRAFANA_PORT:-3030}:3000']],
    ]);
  });

  it('connects only the gateways with both networks, and keeps the backend from the internet', () => {
    const onEdge = services.filter(([, { networks }]) => networks?.includes('edge')).map(([name]) => name);
    const onBackend = services.filter(([, { networks }]) => networks?.includes('backend')).map(([name]) => name);
    expect(onEdge.toSorted()).toEqual(['gateway', 'nginx']);
    expect(onBackend.toSorted()).toEqual(
      services
        .map(([name]) => name)
        .filter((name) => name !== 'nginx' && name !== 'grafana')
        .toSorted(),
    );
    expect(file.networks).toEqual({ edge: null, backend: { internal: true }, observability: null });
  });

  it('starts Prometheus and Grafana only when asked to', () => {
    const optional = services.filter(([, { profiles }]) => profiles !== undefined);
    expect(optional.map(([name, { profiles }]) => [name, profiles])).toEqual([
      ['prometheus', ['observability']],
      ['grafana', ['observability']],
    ]);
  });

  it('mounts files that exist', () => {
    const mounted = services.flatMap(([, { volumes = [] }]) => volumes.map((volume) => volume.split(':')[0] ?? ''));
    expect(mounted.filter((path) => path.startsWith('./') && !existsSync(path))).toEqual([]);
  });

  it('lets Prometheus find every app at the port of its metrics', () => {
    const { scrape_configs: jobs } = parse(readFileSync('deploy/observability/prometheus.yml', 'utf8')) as {
      scrape_configs: { job_name: string; dns_sd_configs: { names: string[]; port: number }[] }[];
    };
    const apps = services.filter(([, { environment = {} }]) => 'METRICS_PORT' in environment);
    expect(jobs.map(({ job_name: name }) => name).toSorted()).toEqual(apps.map(([name]) => name).toSorted());
    for (const { job_name: name, dns_sd_configs: found } of jobs) {
      expect(found).toEqual([{ names: [name], type: 'A', port: 9464 }]);
      expect(file.services[name]?.environment?.['METRICS_PORT']).toBe('${METRICS_PORT:-9464}');
    }
  });

  it('holds no password', () => {
    const values = services.flatMap(([, { environment = {} }]) => Object.entries(environment));
    const secrets = values.filter(([name, value]) => /PASSWORD|TOKEN|SECRET|KEY$|_URL$/.test(name) && value !== null);
    expect(secrets.map(([name]) => name).toSorted()).toEqual(['AUTH_URL', 'FREE_PROVIDER_URL', 'PAID_PROVIDER_URL']);
  });

  it('gives no service the secrets of another', () => {
    const secretVolumes = services.flatMap(([name, { volumes = [] }]) =>
      volumes.filter((volume) => volume.includes(':/secrets')).map((volume) => [name, volume.split(':')[0]]),
    );
    expect(secretVolumes.filter(([name]) => name !== 'secrets')).toEqual([
      ['redis', 'redis-secrets'],
      ['postgres', 'postgres-secrets'],
      ['auth', 'keys'],
      ['gateway', 'gateway-secrets'],
    ]);
  });

  it('waits for a shutdown longer than it may take', () => {
    const environment = file.services['gateway']?.environment ?? {};
    const defaultOf = (name: string): number => Number(/:-(\d+)\}$/.exec(environment[name] ?? '')?.[1]);
    const timeoutMs = commonSettings.SHUTDOWN_TIMEOUT_MS.parse(undefined);
    const longestMs = defaultOf('SHUTDOWN_DELAY_MS') + defaultOf('SHUTDOWN_DRAIN_MS') + timeoutMs;
    for (const [, service] of services) {
      expect(Number.parseInt(String(service['stop_grace_period']), 10) * 1_000).toBeGreaterThan(longestMs);
    }
  });
});

describe('examples/docker-compose.yml', () => {
  const examples = Object.entries(
    (parse(readFileSync('examples/docker-compose.yml', 'utf8'), { merge: true }) as typeof file).services,
  );

  it.each(examples)('hardens %s, checks its health, and starts it with a profile only', (name, service) => {
    expect(service).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      pids_limit: expect.any(Number),
      profiles: expect.arrayContaining([expect.any(String)]),
      healthcheck: { test: expect.any(Array) },
    });
    expect(service.cap_add ?? []).toEqual(name === 'postgres' ? CAPABILITIES['postgres'] : []);
    for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:/);
  });
});

describe('deploy/create-secrets.mjs', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'octo-secrets-'));
    for (const service of ['auth', 'gateway', 'postgres', 'redis']) mkdirSync(join(dir, service));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  function create(env: Record<string, string> = {}): Record<string, string> {
    const { status, stderr } = spawnSync(process.execPath, ['deploy/create-secrets.mjs'], {
      env: { SECRETS_DIR: dir, ...env },
      encoding: 'utf8',
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const names = readdirSync(dir, { recursive: true, encoding: 'utf8' });
    const files = names.filter((name) => statSync(join(dir, name)).isFile());
    return Object.fromEntries(files.map((name) => [name, readFileSync(join(dir, name), 'utf8')]));
  }

  const passwordIn = (url = ''): string => decodeURIComponent(new URL(url).password);

  it('creates random secrets once', () => {
    const first = create();
    expect(create()).toEqual(first);
    const passwords = ['auth/database-url', 'gateway/database-url', 'auth/redis-url'].map((name) =>
      passwordIn(first[name]),
    );
    expect(new Set([...passwords, first['postgres/superuser-password']]).size).toBe(4);
    for (const password of passwords) expect(password).toMatch(/^[0-9a-f]{64}$/);
    expect(first['auth/jwt-key.pem']).toContain('PRIVATE KEY');
  });

  it('gives gateways neither the password of the owner nor the signing key', () => {
    const created = create();
    const forGateways = Object.entries(created).filter(([name]) => name.startsWith('gateway/'));
    expect(forGateways.map(([name]) => name)).toEqual(['gateway/database-url', 'gateway/redis-url']);
    expect(new URL(created['gateway/database-url'] ?? '').username).toBe('octo_gateway');
    expect(forGateways.join()).not.toContain(passwordIn(created['auth/database-url']));
  });

  it('takes passwords and servers of the operator', () => {
    const own = create({ POSTGRES_PASSWORD: 'a/b', REDIS_PASSWORD: 'say "hi"' });
    expect(passwordIn(own['auth/database-url'])).toBe('a/b');
    expect(own['postgres/owner-password']).toBe('a/b');
    expect(own['redis/redis.conf']).toBe(String.raw`requirepass "say \"hi\""` + '\n');
    const url = 'postgres://me@db.example/octo';
    const external = create({ DATABASE_URL: url });
    expect([external['auth/database-url'], external['gateway/database-url']]).toEqual([url, url]);
    expect(external['auth/gateway-database-url']).toBe('');
  });
});
