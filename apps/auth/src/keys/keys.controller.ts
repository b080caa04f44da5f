import { Controller, Delete, Get, HttpCode, Param, Post, UseFilters, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiCookieAuth, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { AccessTokenGuard, type Caller, CurrentCaller } from '#access-token';
import {
  type ApiKeyList,
  apiKeyListSchema,
  type CreatedApiKey,
  createdApiKeySchema,
  type NewApiKey,
  newApiKeySchema,
} from '#contracts';
import { DatabaseDownFilter } from '#database';
import { ApiProblems, ProblemException, ValidBody } from '#service';
import { type Client, RequestClient } from '../client.js';
import { SecurityLog } from '../security-log/security-log.service.js';
import { KeysService } from './keys.service.js';

const idSchema = z.uuid();

@ApiTags('accounts')
@ApiCookieAuth()
@ApiBearerAuth()
@UseGuards(AccessTokenGuard)
@UseFilters(DatabaseDownFilter)
@Controller('auth/keys')
export class KeysController {
  constructor(
    private readonly keys: KeysService,
    private readonly log: SecurityLog,
  ) {}

  @Post()
  @ApiOperation({
    summary: 'Create an API key; it is shown once',
    description: 'Send it as `Authorization: Bearer octo_…`. An API key cannot create another one.',
  })
  @ApiResponse({ status: 201, standardSchema: createdApiKeySchema })
  @ApiProblems('invalid_request', 'unauthenticated', 'forbidden', 'unavailable')
  async create(
    @ValidBody(newApiKeySchema) body: NewApiKey,
    @CurrentCaller() caller: Caller,
    @RequestClient() client: Client,
  ): Promise<CreatedApiKey> {
    if (caller.credential === 'key') {
      // Otherwise a stolen key outlives its revocation.
      throw new ProblemException('forbidden', 'An API key cannot create another one. Log in to create it.');
    }
    const { accountId } = caller;
    const created = await this.keys.create(accountId, body);
    await this.log.record({ event: 'key_created', actor: { accountId, client }, accountId, detail: created.id });
    return created;
  }

  @Get()
  @ApiOperation({ summary: 'Your API keys, newest first' })
  @ApiResponse({ status: 200, standardSchema: apiKeyListSchema })
  @ApiProblems('unauthenticated', 'unavailable')
  list(@CurrentCaller() caller: Caller): Promise<ApiKeyList> {
    return this.keys.list(caller.accountId);
  }

  @Delete(':id')
  @HttpCode(204)
  @ApiOperation({ summary: 'Revoke an API key; every pod refuses it from now on' })
  @ApiResponse({ status: 204 })
  @ApiProblems('unauthenticated', 'not_found', 'unavailable')
  async delete(
    @Param('id') id: string,
    @CurrentCaller() { accountId }: Caller,
    @RequestClient() client: Client,
  ): Promise<void> {
    const isDeleted = idSchema.safeParse(id).success && (await this.keys.delete({ id, accountId }));
    if (!isDeleted) throw new ProblemException('not_found', 'You have no API key with this id.');
    await this.log.record({ event: 'key_revoked', actor: { accountId, client }, accountId, detail: id });
  }
}
