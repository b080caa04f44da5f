import { Body, Controller, Delete, Get, HttpCode, Param, Post, Req, Res, UseFilters, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiCookieAuth, ApiHeader, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AccessTokenGuard, type Caller, CurrentCaller, readAccessToken } from '#access-token';
import {
  deliveredMessageSchema,
  type MessageList,
  messageListSchema,
  type MessageRecord,
  messageRecordSchema,
  sendMessageSchema,
  waitingMessageSchema,
} from '#contracts';
import { DatabaseDownFilter } from '#database';
import { ApiProblems, copyHeaders, ValidQuery } from '#service';
import { type MessagePage, messagePageSchema } from '../journal/message-page.js';
import { StoredMessages } from './stored-messages.service.js';
import { MessageEvents } from './message-events.service.js';
import { readSendOptions } from './send-options.js';
import { type SendAnswer, SendMessageService } from './send-message.service.js';

@ApiTags('messages')
@ApiCookieAuth()
@ApiBearerAuth()
@UseGuards(AccessTokenGuard)
@UseFilters(DatabaseDownFilter)
@Controller('messages')
export class MessagesController {
  constructor(
    private readonly messages: SendMessageService,
    private readonly stored: StoredMessages,
    private readonly events: MessageEvents,
  ) {}

  @Post()
  @HttpCode(200)
  @ApiOperation({ summary: 'Send a message by the cheapest provider it may use' })
  @ApiHeader({ name: 'Idempotency-Key', required: false, description: '1 to 255 visible ASCII characters' })
  @ApiHeader({
    name: 'Prefer',
    required: false,
    description: '`respond-async`: accept it with 202 and send it now; do not make the caller wait',
  })
  @ApiResponse({ status: 200, standardSchema: deliveredMessageSchema })
  @ApiResponse({
    status: 202,
    standardSchema: waitingMessageSchema,
    headers: { Location: { description: 'of the message', schema: { type: 'string' } } },
  })
  @ApiProblems(
    'invalid_message',
    'unknown_channel',
    'unauthenticated',
    'budget_exhausted',
    'paid_access_required',
    'idempotency_in_progress',
    'cancelled',
    'message_too_large',
    'unsupported_media_type',
    'idempotency_key_reused',
    'message_rejected',
    'too_many_requests',
    'provider_failed',
    'unavailable',
    'provider_timeout',
    'deadline_missed',
  )
  async send(
    @Body({ schema: sendMessageSchema }) body: unknown,
    @CurrentCaller() caller: Caller,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<SendAnswer> {
    const answer = await this.messages.send(body, caller, readSendOptions(request.headers, request.id));
    if (answer.status === 'waiting') reply.status(202).header('location', `/messages/${answer.id}`);
    return answer;
  }

  @Get()
  @ApiOperation({ summary: 'Your messages, newest first' })
  @ApiResponse({ status: 200, standardSchema: messageListSchema })
  @ApiProblems('invalid_request', 'unauthenticated', 'unavailable')
  list(@ValidQuery(messagePageSchema) page: MessagePage, @CurrentCaller() caller: Caller): Promise<MessageList> {
    return this.stored.list(page, caller);
  }

  @Get(':id')
  @ApiOperation({ summary: 'A message and everything that happened to it' })
  @ApiResponse({ status: 200, standardSchema: messageRecordSchema })
  @ApiProblems('unauthenticated', 'not_found', 'unavailable')
  find(@Param('id') id: string, @CurrentCaller() caller: Caller): Promise<MessageRecord> {
    return this.stored.find(id, caller);
  }

  @Get(':id/events')
  @ApiOperation({
    summary: 'Server-sent events of a message, named after its status, until it has ended',
  })
  @ApiResponse({
    status: 200,
    description: 'an event whenever the record has new hops, and a comment every 15 s',
    content: { 'text/event-stream': { schema: { type: 'string' } } },
  })
  @ApiResponse({ status: 204, description: 'the message has ended, and `Last-Event-ID` is its last event' })
  @ApiProblems('unauthenticated', 'not_found', 'too_many_requests', 'unavailable')
  async watch(
    @Param('id') id: string,
    @CurrentCaller() caller: Caller,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const record = await this.stored.find(id, caller);
    if (request.method === 'HEAD') return void reply.type('text/event-stream').send();
    copyHeaders(reply);
    const header = String(request.headers['last-event-id']);
    const lastEventId = /^\d{1,9}$/.test(header) ? Number(header) : 0;
    const token = readAccessToken(request.headers) ?? '';
    this.events.stream(record, reply.raw, { accountId: caller.accountId, token, lastEventId });
    reply.hijack();
  }

  @Delete(':id')
  @HttpCode(204)
  @ApiOperation({ summary: 'Cancel a waiting message' })
  @ApiResponse({ status: 204, description: 'Octo will not send the message any more' })
  @ApiProblems('unauthenticated', 'not_found', 'already_delivered', 'unavailable')
  cancel(@Param('id') id: string, @CurrentCaller() caller: Caller): Promise<void> {
    return this.stored.cancel(id, caller);
  }
}
