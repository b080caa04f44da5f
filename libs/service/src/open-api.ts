import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { attemptSchema, problemSchema } from '#contracts';

/** What an app's controllers and their schemas say of its API. */
export function describeApi(app: NestFastifyApplication): OpenAPIObject {
  const config = new DocumentBuilder()
    .setTitle('Octo')
    .setDescription('Sends messages by the cheapest provider that has room: free quota first, paid when it must.')
    .setVersion('0.1.0')
    .addCookieAuth('octo_token')
    .addBearerAuth()
    .build();
  const document = SwaggerModule.createDocument(app, config);
  return {
    ...document,
    components: { ...document.components, schemas: { ...problemSchemas(), ...document.components?.schemas } },
  };
}

/** Every route refers to these two by name; Nest adds only schemas that a route uses directly. */
function problemSchemas(): Record<string, object> {
  const registry = z.registry<{ id: string }>().add(problemSchema, { id: 'Problem' });
  registry.add(attemptSchema, { id: 'Attempt' });
  const uri = (id: string): string => `#/components/schemas/${id}`;
  const { schemas } = z.toJSONSchema(registry, { uri, target: 'openapi-3.0' });
  return Object.fromEntries(Object.entries(schemas).map(([name, { $id: _, ...schema }]) => [name, schema]));
}

/** Serves the OpenAPI document at `/openapi.json`; made when first asked for, as a start should not wait for it. */
export function serveOpenApi(
  app: NestFastifyApplication,
  document: () => Promise<OpenAPIObject> | OpenAPIObject,
): void {
  const fastify: FastifyInstance = app.getHttpAdapter().getInstance();
  fastify.get('/openapi.json', () => document());
}
