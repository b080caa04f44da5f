import { Controller, Headers, HttpCode, Post, Req, UseGuards } from '@nestjs/common';
import { ApiCookieAuth, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { AccessTokenGuard, type Caller, CurrentCaller } from '#access-token';
import { type DeliveredMessage, deliveredMessageSchema, type SendMessage, sendMessageSchema } from '#contracts';
import { ApiProblems, ValidBody } from '#service';
import { refuseUnsupportedHeaders } from './unsupported-headers.js';
import { SendMessageService } from './send-message.service.js';

@ApiTags('messages')
@ApiCookieAuth()
@UseGuards(AccessTokenGuard)
@Controller('messages')
export class MessagesController {
  constructor(private readonly messages: SendMessageService) {}

  @Post()
  @HttpCode(200)
  @ApiOperation({ summary: 'Send a message by the cheapest provider it may use' })
  @ApiResponse({ status: 200, standardSchema: deliveredMessageSchema })
  @ApiProblems(
    'invalid_message',
    'unauthenticated',
    'paid_access_required',
    'message_too_large',
    'unsupported_media_type',
    'too_many_requests',
    'provider_failed',
    'unavailable',
    'provider_timeout',
  )
  send(
    @ValidBody(sendMessageSchema, 'invalid_message') message: SendMessage,
    @CurrentCaller() caller: Caller,
    @Req() request: FastifyRequest,
    @Headers('traceparent') traceparent: string | undefined,
  ): Promise<DeliveredMessage> {
    refuseUnsupportedHeaders(request.headers);
    return this.messages.send(message, caller, { requestId: request.id, traceparent });
  }
}
