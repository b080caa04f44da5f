import { Controller, Get } from '@nestjs/common';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { ApiProblems } from './api-problems.js';
import { ProblemException } from './problem.js';

/** Resolves to undefined when the dependency works; rejects, or resolves to the reason, when it does not. */
export type ReadinessCheck = () => Promise<string | undefined> | string | undefined;

/** Timeout of one check. */
const CHECK_TIMEOUT_MS = 1_000;

export interface Missing {
  name: string;
  reason: string;
}

/** Whether this process can serve: `degraded` without a dependency that only some requests need, `down` without another. */
export class Readiness {
  private readonly required = new Map<string, ReadinessCheck>();
  private readonly preferred = new Map<string, ReadinessCheck>();
  private stopping = false;

  /** The process is down while the check fails. */
  require(name: string, check: ReadinessCheck): void {
    this.required.set(name, check);
  }

  /** The process is degraded while the check fails. Balancers keep it: every other process lacks the same dependency. */
  prefer(name: string, check: ReadinessCheck): void {
    this.preferred.set(name, check);
  }

  get isStopping(): boolean {
    return this.stopping;
  }

  /** Down from now on, so that load balancers stop sending. */
  stop(): void {
    this.stopping = true;
  }

  async state(): Promise<{ status: 'ready' | 'degraded' | 'down'; missing: Missing[] }> {
    if (this.stopping) return { status: 'down', missing: [{ name: 'process', reason: 'is shutting down' }] };
    const [required, preferred] = await Promise.all([failuresOf(this.required), failuresOf(this.preferred)]);
    const missing = [...required, ...preferred];
    if (required.length > 0) return { status: 'down', missing };
    return { status: missing.length > 0 ? 'degraded' : 'ready', missing };
  }
}

async function failuresOf(checks: ReadonlyMap<string, ReadinessCheck>): Promise<Missing[]> {
  const results = await Promise.all([...checks].map(([name, check]) => run(name, check)));
  return results.filter((result) => result !== undefined);
}

async function run(name: string, check: ReadinessCheck): Promise<Missing | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<string>((resolve) => {
    timer = setTimeout(resolve, CHECK_TIMEOUT_MS, `did not answer within ${CHECK_TIMEOUT_MS} ms`);
  });
  try {
    const reason = await Promise.race([check(), timeout]);
    return reason === undefined ? undefined : { name, reason };
  } catch {
    // Not the error's text, which may name hosts: the dependency logs it.
    return { name, reason: 'cannot be reached' };
  } finally {
    clearTimeout(timer);
  }
}

@ApiTags('operations')
@Controller('health')
export class HealthController {
  constructor(private readonly readiness: Readiness) {}

  @Get('live')
  @ApiOperation({ summary: 'The process is alive' })
  live(): { status: 'ok' } {
    return { status: 'ok' };
  }

  @Get('ready')
  @ApiOperation({
    summary: 'The process can serve; `degraded` when it lacks what only some requests need; 503 names what is missing',
  })
  @ApiResponse({ status: 200, description: 'Ready, or degraded' })
  @ApiProblems('unavailable')
  async ready(): Promise<{ status: 'ready' | 'degraded'; missing?: Missing[] }> {
    const { status, missing } = await this.readiness.state();
    if (status === 'ready') return { status };
    if (status === 'degraded') return { status, missing };
    throw new ProblemException('unavailable', missing.map(({ name, reason }) => `${name} ${reason}`).join('; '), {
      retryAfterMs: 1_000,
      errors: missing.map(({ name, reason }) => ({ pointer: `/${name}`, detail: reason })),
    });
  }
}
