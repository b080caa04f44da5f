import { Controller, Delete, Get, HttpCode, Param, UseFilters, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiCookieAuth, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { AccessTokenGuard, type Caller } from '#access-token';
import { type SessionList, sessionListSchema } from '#contracts';
import { DatabaseDownFilter } from '#database';
import { ApiProblems, ProblemException } from '#service';
import { type Client, RequestClient, SessionCaller } from '../client.js';
import { OwnSessions } from './own-sessions.service.js';

@ApiTags('accounts')
@ApiCookieAuth()
@ApiBearerAuth()
@UseGuards(AccessTokenGuard)
@UseFilters(DatabaseDownFilter)
@Controller('auth/sessions')
export class OwnSessionsController {
  constructor(private readonly sessions: OwnSessions) {}

  @Get()
  @ApiOperation({ summary: 'Your sessions, last used first' })
  @ApiResponse({ status: 200, standardSchema: sessionListSchema })
  @ApiProblems('unauthenticated', 'forbidden', 'unavailable')
  list(@SessionCaller() caller: Caller): Promise<SessionList> {
    return this.sessions.list(caller);
  }

  @Delete(':id')
  @HttpCode(204)
  @ApiOperation({ summary: 'End one of your sessions; every pod refuses its access token from now on' })
  @ApiResponse({ status: 204, description: 'Ended' })
  @ApiProblems('unauthenticated', 'forbidden', 'not_found', 'unavailable')
  async end(@Param('id') id: string, @SessionCaller() caller: Caller, @RequestClient() client: Client): Promise<void> {
    const isEnded = z.uuid().safeParse(id).success && (await this.sessions.end(id, caller, client));
    if (!isEnded) throw new ProblemException('not_found', 'You have no session with this id.');
  }
}
