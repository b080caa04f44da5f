import { Controller, Get, Injectable } from '@nestjs/common';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { ApiProblems } from './api-problems.js';
import { ProblemException } from './problem.js';

/** Resolves to undefined when the dependency works; rejects, or resolves to the reason, when it does not. */
export type ReadinessCheck = () => Promise<string | undefined> | string | undefined;

/** Timeout of one check. */
const CHECK_TIMEOUT_MS = 1_000;

/** What must work before this process receives traffic. */
@Injectable()
export class Readiness {
  private readonly checks = new Map<string, ReadinessCheck>();
  private stopping = false;

  require(name: string, check: ReadinessCheck): void {
    this.checks.set(name, check);
  }

  /** Not ready from now on, so that load balancers stop sending. */
  stop(): void {
    this.stopping = true;
  }

  /** Name and reason of each failed check; empty when ready. */
  async missing(): Promise<{ name: string; reason: string }[]> {
    if (this.stopping) return [{ name: 'process', reason: 'is shutting down' }];
    const results = await Promise.all([...this.checks].map(([name, check]) => run(name, check)));
    return results.filter((result) => result !== undefined);
  }
}

async function run(name: string, check: ReadinessCheck): Promise<{ name: string; reason: string } | undefined> {
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
  @ApiOperation({ summary: 'The process and everything it needs can serve; 503 names what is missing' })
  @ApiResponse({ status: 200, description: 'Ready' })
  @ApiProblems('unavailable')
  async ready(): Promise<{ status: 'ready' }> {
    const missing = await this.readiness.missing();
    if (missing.length === 0) return { status: 'ready' };
    throw new ProblemException('unavailable', missing.map(({ name, reason }) => `${name} ${reason}`).join('; '), {
      retryAfterMs: 1_000,
      errors: missing.map(({ name, reason }) => ({ pointer: `/${name}`, detail: reason })),
    });
  }
}
