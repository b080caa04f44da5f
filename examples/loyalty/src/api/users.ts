import { randomUUID } from 'node:crypto';
import { Controller, HttpCode, Inject, Injectable, Post, Res, UseFilters } from '@nestjs/common';
import { sql } from 'drizzle-orm';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { ACCESS_TOKEN_TTL_MS as ttlMs, accessTokenCookie, AccessTokenSigner } from '#access-token';
import { passwordSchema } from '#contracts';
import { type Database, DatabaseDownFilter, InjectDatabase } from '#database';
import { hashPassword, isPasswordOf } from '#passwords';
import { ApiCall, ProblemException, ValidBody } from '#service';
import { PROBLEMS } from './problems.js';

export const IS_SECURE = Symbol('whether cookies are Secure');

const loginSchema = z.string().regex(/^[^\p{Cc}\p{Cs}]{1,100}$/u, 'must have 1 to 100 visible characters');
const credentialsSchema = z
  .strictObject({ login: loginSchema, password: passwordSchema.min(1, 'must not be empty') })
  .meta({ id: 'Credentials' });
type Credentials = z.infer<typeof credentialsSchema>;

@Injectable()
export class Users {
  constructor(@InjectDatabase() private readonly db: Database) {}

  /** @throws ProblemException login_taken, unavailable */
  async register({ login, password }: Credentials): Promise<string> {
    const passwordHash = await hashPassword(password);
    const { rows } = await this.db.execute<{ id: string }>(sql`
      insert into loyalty.users (login, password_hash) values (${login}, ${passwordHash})
      on conflict (login) do nothing returning id`);
    if (rows[0] === undefined) throw new ProblemException(PROBLEMS.loginTaken, 'Log in, or choose another login.');
    return rows[0].id;
  }

  /** @throws ProblemException wrong_login, unavailable */
  async authenticate({ login, password }: Credentials): Promise<string> {
    const { rows } = await this.db.execute<{ id: string; password_hash: string }>(
      sql`select id, password_hash from loyalty.users where login = ${login}`,
    );
    const isRight = await isPasswordOf(rows[0]?.password_hash, password);
    if (rows[0] !== undefined && isRight) return rows[0].id;
    throw new ProblemException(PROBLEMS.wrongLogin, 'Check the login and the password.');
  }
}

@Controller('api/user')
@UseFilters(DatabaseDownFilter)
export class UsersController {
  constructor(
    private readonly users: Users,
    private readonly signer: AccessTokenSigner,
    @Inject(IS_SECURE) private readonly secure: boolean,
  ) {}

  @Post('register')
  @HttpCode(200)
  @ApiCall('Register and log in: sets a cookie', { 200: 'Logged in' }, 'invalid_request', PROBLEMS.loginTaken)
  async register(
    @ValidBody(credentialsSchema) credentials: Credentials,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    await this.setCookie(reply, await this.users.register(credentials));
  }

  @Post('login')
  @HttpCode(200)
  @ApiCall('Log in: sets a cookie', { 200: 'Logged in' }, 'invalid_request', PROBLEMS.wrongLogin, 'unavailable')
  async logIn(@ValidBody(credentialsSchema) credentials: Credentials, @Res({ passthrough: true }) reply: FastifyReply) {
    await this.setCookie(reply, await this.users.authenticate(credentials));
  }

  private async setCookie(reply: FastifyReply, userId: string): Promise<void> {
    const claims = { sub: userId, sid: randomUUID(), paidAccess: false, role: 'user' as const };
    const { token } = await this.signer.sign(claims);
    reply.header('set-cookie', accessTokenCookie(token, { ttlMs, secure: this.secure }));
  }
}
