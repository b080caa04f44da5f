import { Controller, Get, Header, Req, Res, UseFilters, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiCookieAuth, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AccessTokenGuard, type Caller, CurrentCaller } from '#access-token';
import { type Usage, usageSchema } from '#contracts';
import { DatabaseDownFilter } from '#database';
import { ApiProblems, ValidQuery } from '#service';
import { csvOf, UsageService } from './usage.service.js';
import { type UsageQuery, usageQuerySchema } from './usage-query.js';

@ApiTags('usage')
@ApiCookieAuth()
@ApiBearerAuth()
@UseGuards(AccessTokenGuard)
@UseFilters(DatabaseDownFilter)
@Controller('usage')
export class UsageController {
  constructor(private readonly usage: UsageService) {}

  @Get()
  @Header('vary', 'Accept')
  @ApiOperation({ summary: 'Your delivered messages and their cost; an admin may ask for other accounts' })
  @ApiResponse({ status: 200, standardSchema: usageSchema })
  @ApiProblems('invalid_request', 'unauthenticated', 'forbidden', 'unavailable')
  async report(
    @ValidQuery(usageQuerySchema) query: UsageQuery,
    @CurrentCaller() caller: Caller,
    @Req() { headers }: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Usage | string> {
    const usage = await this.usage.of(caller, query);
    if (!acceptsCsv(headers.accept)) return usage;
    reply.type('text/csv; charset=utf-8; header=present');
    return csvOf(usage, query.by);
  }
}

function acceptsCsv(accept = ''): boolean {
  return accept.split(',').some((range) => range.split(';', 1)[0]?.trim().toLowerCase() === 'text/csv');
}
