// A gateway as most are written with Nest: Express, stock axios, the token verified for each request. It only forwards
// messages: no quota, no journal. `UPSTREAM=… PUBLIC_KEY=… node usual-gateway.js`.
import 'reflect-metadata';
import {
  Body,
  type CanActivate,
  Controller,
  type ExecutionContext,
  HttpCode,
  Injectable,
  Module,
  Post,
  UnauthorizedException,
  UseGuards,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { JwtModule, JwtService } from '@nestjs/jwt';
import axios from 'axios';

const { UPSTREAM = '', PUBLIC_KEY = '' } = process.env;

interface WebRequest {
  headers: Record<string, string | undefined>;
}

@Injectable()
class JwtGuard implements CanActivate {
  constructor(private readonly jwt: JwtService) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const { cookie = '' } = context.switchToHttp().getRequest<WebRequest>().headers;
    try {
      await this.jwt.verifyAsync(cookie.slice(cookie.indexOf('=') + 1));
      return true;
    } catch (cause) {
      throw new UnauthorizedException('Log in.', { cause });
    }
  }
}

@Controller('messages')
class MessagesController {
  @Post()
  @HttpCode(200)
  @UseGuards(JwtGuard)
  async send(@Body() { message }: { message: string }): Promise<unknown> {
    const { data } = await axios.post<unknown>(UPSTREAM, { message });
    return data;
  }
}

@Module({
  imports: [JwtModule.register({ publicKey: PUBLIC_KEY, verifyOptions: { algorithms: ['ES256'] } })],
  controllers: [MessagesController],
})
class UsualModule {}

const app = await NestFactory.create(UsualModule, { logger: false });
await app.listen(0, '127.0.0.1');
process.send?.({ url: await app.getUrl() });
process.once('disconnect', () => process.exit(0));
