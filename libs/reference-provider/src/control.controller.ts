import { createHash, timingSafeEqual } from 'node:crypto';
import {
  type CanActivate,
  Controller,
  type ExecutionContext,
  Get,
  HttpCode,
  Inject,
  Injectable,
  Post,
  Put,
  UseGuards,
} from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type AcceptedRequests, type Faults, faultsSchema, type ProviderStats } from '#contracts';
import { ProblemException, ValidBody } from '#service';
import type { Admission } from './admission.js';
import { FaultInjector } from './faults.js';
import { MessageIntake } from './message-intake.js';

export const controlSettings = {
  /** Bearer token of `/stats` and `/faults`. In production they do not exist without it. */
  CONTROL_TOKEN: z.string().min(16, 'must have at least 16 characters').optional(),
};

export interface ControlSettings {
  NODE_ENV: string;
  CONTROL_TOKEN?: string | undefined;
}

/** Whether `/stats` and `/faults` exist. */
export function hasControl({ NODE_ENV, CONTROL_TOKEN }: ControlSettings): boolean {
  return NODE_ENV !== 'production' || CONTROL_TOKEN !== undefined;
}

export const ADMISSION = Symbol('admission');
export const CONTROL_TOKEN = Symbol('control token');

@Injectable()
class ControlGuard implements CanActivate {
  constructor(@Inject(CONTROL_TOKEN) private readonly token: string | undefined) {}

  canActivate(context: ExecutionContext): boolean {
    if (this.token === undefined) return true;
    const { headers } = context.switchToHttp().getRequest<FastifyRequest>();
    const given = /^bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? '';
    if (timingSafeEqual(digest(given), digest(this.token))) return true;
    context.switchToHttp().getResponse<FastifyReply>().header('www-authenticate', 'Bearer');
    throw new ProblemException('unauthenticated', 'Send CONTROL_TOKEN as a bearer token.');
  }
}

/** Of equal length for every token, so that the time of a comparison reveals nothing. */
function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

/** What tests and operators see and change: the provider's own log, and injected faults. */
@Controller()
@UseGuards(ControlGuard)
export class ControlController {
  constructor(
    private readonly intake: MessageIntake,
    private readonly faults: FaultInjector,
    @Inject(ADMISSION) private readonly admission: Admission,
  ) {}

  @Get('stats')
  stats(): ProviderStats {
    return this.admission.stats();
  }

  @Get('stats/accepted')
  acceptedRequests(): AcceptedRequests {
    return { items: this.intake.acceptedRequests() };
  }

  @Post('stats/reset')
  @HttpCode(204)
  resetStats(): void {
    this.intake.resetLog();
    this.admission.resetStats();
  }

  @Get('faults')
  faultsInForce(): Faults {
    return this.faults.inForce;
  }

  @Put('faults')
  replaceFaults(@ValidBody(faultsSchema) faults: Faults): Faults {
    this.faults.replace(faults);
    return this.faults.inForce;
  }
}
