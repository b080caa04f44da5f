import { Controller, Get, UseFilters, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiCookieAuth, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { AccessTokenGuard, Roles } from '#access-token';
import { type SecurityLogPage, securityLogSchema } from '#contracts';
import { DatabaseDownFilter } from '#database';
import { ApiProblems, ValidQuery } from '#service';
import { SecurityLog, type SecurityLogQuery, securityLogQuerySchema } from './security-log.service.js';

@ApiTags('accounts')
@Controller('auth')
@UseFilters(DatabaseDownFilter)
export class SecurityLogController {
  constructor(private readonly log: SecurityLog) {}

  @Get('security-log')
  @UseGuards(AccessTokenGuard)
  @Roles('admin')
  @ApiCookieAuth()
  @ApiBearerAuth()
  @ApiOperation({ summary: 'Logins, lockouts and changes of accounts, newest first; admin only' })
  @ApiResponse({ status: 200, standardSchema: securityLogSchema })
  @ApiProblems('invalid_request', 'unauthenticated', 'forbidden', 'unavailable')
  list(@ValidQuery(securityLogQuerySchema) query: SecurityLogQuery): Promise<SecurityLogPage> {
    return this.log.list(query);
  }
}
