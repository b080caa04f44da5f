import { Controller, Get, Post, UseFilters, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiCookieAuth, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { AccessTokenGuard, type Caller } from '#access-token';
import {
  type CreatedWebhookSecret,
  createdWebhookSecretSchema,
  type Reauthentication,
  reauthenticationSchema,
  type WebhookSecret,
  webhookSecretSchema,
} from '#contracts';
import { DatabaseDownFilter } from '#database';
import { ApiProblems, ValidBody } from '#service';
import { REAUTHENTICATED_CHANGE } from '../accounts/reauthentication.service.js';
import { type Client, RequestClient, SessionCaller } from '../client.js';
import { WebhookSecretService } from './webhook-secret.service.js';

@ApiTags('accounts')
@ApiCookieAuth()
@ApiBearerAuth()
@UseGuards(AccessTokenGuard)
@UseFilters(DatabaseDownFilter)
@Controller('auth/webhook-secret')
export class WebhookSecretController {
  constructor(private readonly secrets: WebhookSecretService) {}

  @Post()
  @ApiOperation({
    summary: 'Create the next secret that signs your webhooks; it is shown once',
    description: 'For 24 h the secret before it signs too: before the first one, the secrets of the deployment.',
  })
  @ApiResponse({ status: 201, standardSchema: createdWebhookSecretSchema })
  @ApiProblems(...REAUTHENTICATED_CHANGE)
  create(
    @ValidBody(reauthenticationSchema) body: Reauthentication,
    @SessionCaller() caller: Caller,
    @RequestClient() client: Client,
  ): Promise<CreatedWebhookSecret> {
    return this.secrets.create(caller, { currentPassword: body?.currentPassword, client });
  }

  @Get()
  @ApiOperation({ summary: 'Version and age of the secret that signs your webhooks, without the secret' })
  @ApiResponse({ status: 200, standardSchema: webhookSecretSchema })
  @ApiProblems('unauthenticated', 'forbidden', 'not_found', 'unavailable')
  current(@SessionCaller() caller: Caller): Promise<WebhookSecret> {
    return this.secrets.current(caller);
  }
}
