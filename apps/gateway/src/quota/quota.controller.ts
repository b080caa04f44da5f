import { Controller, Get, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiCookieAuth, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { AccessTokenGuard } from '#access-token';
import { type QuotaReport, quotaReportSchema } from '#contracts';
import { ApiProblems } from '#service';
import { QuotaReportService } from './quota-report.service.js';

@ApiTags('quota')
@ApiCookieAuth()
@ApiBearerAuth()
@UseGuards(AccessTokenGuard)
@Controller('quota')
export class QuotaController {
  constructor(private readonly quota: QuotaReportService) {}

  @Get()
  @ApiOperation({ summary: 'The quota of every provider' })
  @ApiResponse({ status: 200, standardSchema: quotaReportSchema })
  @ApiProblems('unauthenticated')
  report(): Promise<QuotaReport> {
    return this.quota.report();
  }
}
