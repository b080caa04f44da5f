import { Controller, Get, Patch, UseFilters, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiCookieAuth, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { AccessTokenGuard, type Caller, CurrentCaller, Roles } from '#access-token';
import {
  type ProviderSwitch,
  type ProviderSwitchList,
  providerSwitchListSchema,
  type ProviderSwitchPatch,
  providerSwitchPatchSchema,
  providerSwitchSchema,
} from '#contracts';
import { DatabaseDownFilter } from '#database';
import { ApiProblems, ValidBody } from '#service';
import { REAUTHENTICATED_CHANGE, Reauthentication } from '../accounts/reauthentication.service.js';
import { type Client, RequestClient } from '../client.js';
import { ProviderSwitchesService } from './provider-switches.service.js';

@ApiTags('providers')
@Controller('auth/providers')
@UseFilters(DatabaseDownFilter)
@UseGuards(AccessTokenGuard)
@Roles('admin')
@ApiCookieAuth()
@ApiBearerAuth()
export class ProviderSwitchesController {
  constructor(
    private readonly switches: ProviderSwitchesService,
    private readonly reauthentication: Reauthentication,
  ) {}

  @Get()
  @ApiOperation({ summary: 'Every provider account, and whether it may be used; admin only' })
  @ApiResponse({ status: 200, standardSchema: providerSwitchListSchema })
  @ApiProblems('unauthenticated', 'forbidden', 'unavailable')
  list(): Promise<ProviderSwitchList> {
    return this.switches.list();
  }

  @Patch()
  @ApiOperation({ summary: 'Drain, disable or enable a provider account; admin only' })
  @ApiResponse({ status: 200, standardSchema: providerSwitchSchema })
  @ApiProblems(...REAUTHENTICATED_CHANGE, 'not_found')
  async change(
    @ValidBody(providerSwitchPatchSchema) { currentPassword, ...patch }: ProviderSwitchPatch,
    @CurrentCaller() caller: Caller,
    @RequestClient() client: Client,
  ): Promise<ProviderSwitch> {
    await this.reauthentication.requireRecent(caller, { currentPassword, client });
    return this.switches.change(patch, { accountId: caller.accountId, client });
  }
}
