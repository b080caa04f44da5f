import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import type { FastifyInstance } from 'fastify';

/** What an app's controllers and their schemas say of its API. */
export function describeApi(app: NestFastifyApplication): OpenAPIObject {
  const config = new DocumentBuilder()
    .setTitle('Octo')
    .setDescription('Sends messages by the cheapest provider that has room: free quota first, paid when it must.')
    .setVersion('0.1.0')
    .addCookieAuth('octo_token')
    .addBearerAuth()
    .build();
  return SwaggerModule.createDocument(app, config);
}

/** Serves the OpenAPI document at `/openapi.json`; made when first asked for, as a start should not wait for it. */
export function serveOpenApi(
  app: NestFastifyApplication,
  document: () => Promise<OpenAPIObject> | OpenAPIObject,
): void {
  const fastify: FastifyInstance = app.getHttpAdapter().getInstance();
  fastify.get('/openapi.json', () => document());
}
