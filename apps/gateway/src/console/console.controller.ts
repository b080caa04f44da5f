import { Controller, Get, Inject, Req, Res, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiCookieAuth, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AccessTokenGuard, type Caller, CurrentCaller, readAccessToken } from '#access-token';
import { type ChannelList, channelListSchema } from '#contracts';
import { ApiProblems, copyHeaders } from '#service';
import { DEFAULT_CHANNEL, PROVIDERS, type ProvidersFile } from '../providers/providers-file.js';
import { ConsoleEvents } from './console-events.service.js';

@ApiTags('console')
@ApiCookieAuth()
@ApiBearerAuth()
@UseGuards(AccessTokenGuard)
@Controller()
export class ConsoleController {
  constructor(
    private readonly events: ConsoleEvents,
    @Inject(PROVIDERS) private readonly config: ProvidersFile,
  ) {}

  @Get('channels')
  @ApiOperation({ summary: 'The channels of messages, and what a message of each is' })
  @ApiResponse({ status: 200, standardSchema: channelListSchema })
  @ApiProblems('unauthenticated', 'unavailable')
  channels(): ChannelList {
    const { channels } = this.config;
    const items = [...channels.values()].map(({ name, providers, schema }) => ({
      name,
      isDefault: channels.size === 1 || name === DEFAULT_CHANNEL,
      providers: [...new Set(providers.map((provider) => provider.name))],
      message: schema === undefined ? null : { ...schema },
    }));
    return { items };
  }

  @Get('console/events')
  @ApiOperation({ summary: 'Server-sent events, one a second: quotas, totals of all pods, what is missing' })
  @ApiResponse({
    status: 200,
    description: 'each `data` is a ConsoleEvent',
    content: { 'text/event-stream': { schema: { type: 'string' } } },
  })
  @ApiProblems('unauthenticated', 'too_many_requests', 'unavailable')
  watch(@CurrentCaller() { accountId }: Caller, @Req() request: FastifyRequest, @Res() reply: FastifyReply): void {
    if (request.method === 'HEAD') return void reply.type('text/event-stream').send();
    copyHeaders(reply);
    this.events.stream({ accountId, token: readAccessToken(request.headers) ?? '' }, reply.raw);
    reply.hijack();
  }
}
