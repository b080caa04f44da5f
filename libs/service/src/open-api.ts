import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { PROBLEMS, problemSchema } from '#contracts';
import { PROBLEM_JSON } from './api-problems.js';

type PathItem = OpenAPIObject['paths'][string];
type Operation = NonNullable<PathItem['get']>;
type Schemas = NonNullable<NonNullable<OpenAPIObject['components']>['schemas']>;

/** The body of a webhook, whose name is the literal `type`; the schema has a description. */
export type WebhookSchema = z.ZodType & { shape: { type: z.ZodLiteral<string> } };

const METHODS = ['get', 'put', 'post', 'patch', 'delete'] as const;

/** The API of an app, from its controllers and their schemas: OpenAPI 3.1, whose schemas are JSON Schema. */
export function describeApi(app: NestFastifyApplication, webhooks: readonly WebhookSchema[] = []): OpenAPIObject {
  const config = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('Octo')
    .setDescription('Sends messages through the cheapest provider that has room: free quota first, paid when needed.')
    .setVersion('0.1.0')
    .setLicense('MIT', 'https://opensource.org/license/mit')
    .addServer('/')
    .addCookieAuth('octo_token')
    .addCookieAuth('octo_refresh', { type: 'apiKey', in: 'cookie' }, 'refresh')
    .addBearerAuth({ type: 'http', scheme: 'bearer', description: 'an access token (JWT) or an API key (`octo_…`)' })
    .build();
  const document = SwaggerModule.createDocument(app, config, {
    standardSchemaConverter: (schema, { schemaType }) => jsonSchemaOf(schema as z.ZodType, schemaType),
  });
  for (const path of Object.values(document.paths)) completeOperations(path);
  const schemas = { ...schemasOf([problemSchema, ...webhooks]), ...document.components?.schemas };
  return {
    ...document,
    ...(webhooks.length > 0 && { webhooks: Object.fromEntries(webhooks.map(webhookOf)) }),
    components: { ...document.components, schemas },
  };
}

/** Serves the OpenAPI document at `/openapi.json`; made on the first request, so that it does not delay the start. */
export function serveOpenApi(
  app: NestFastifyApplication,
  document: () => Promise<OpenAPIObject> | OpenAPIObject,
): void {
  const fastify: FastifyInstance = app.getHttpAdapter().getInstance();
  fastify.get('/openapi.json', () => document());
}

/** What holds for every operation: without a security requirement it is public, and large headers are refused. */
function completeOperations(path: PathItem): void {
  const operations = METHODS.map((method) => path[method]).filter((operation) => operation !== undefined);
  for (const operation of operations) {
    operation.security ??= [];
    operation.responses['431'] ??= {
      description: `\`headers_too_large\`: ${PROBLEMS.headers_too_large[1]}`,
      content: { 'application/problem+json': { schema: PROBLEM_JSON } },
    };
  }
}

function jsonSchemaOf(schema: z.ZodType, io: 'input' | 'output'): { schema: object; components: Schemas } {
  const {
    $schema: _,
    $defs = {},
    ...own
  } = z.toJSONSchema(schema, {
    io,
    target: 'draft-2020-12',
    override: ({ jsonSchema }) => {
      // The format says it; Zod's pattern for a time is 300 characters.
      if (jsonSchema.format !== undefined) delete jsonSchema.pattern;
      // A later version may add fields to an answer: clients must ignore the ones they do not know.
      if (io === 'output') delete jsonSchema.additionalProperties;
    },
  });
  return { schema: own, components: $defs as Schemas };
}

/** The named schemas among these and in them. Nest adds only those that a route uses directly. */
function schemasOf(schemas: readonly z.ZodType[]): Schemas {
  const definitions = Object.assign({}, ...schemas.map((schema) => jsonSchemaOf(schema, 'output').components));
  return JSON.parse(JSON.stringify(definitions).replaceAll('"#/$defs/', '"#/components/schemas/')) as Schemas;
}

/** Headers of Standard Webhooks 1.0 (https://github.com/standard-webhooks/standard-webhooks). */
const WEBHOOK_HEADERS = {
  'webhook-id': 'Id of the message; the same in every retry',
  'webhook-timestamp': 'Time of this try, in seconds since 1970',
  'webhook-signature': '`v1,` and the base64 HMAC-SHA256 of `id.timestamp.body`, once per secret, separated by spaces',
};

function webhookOf(schema: WebhookSchema): [name: string, path: PathItem] {
  const { id = '', description = '' } = schema.meta() ?? {};
  const post: Operation = {
    operationId: `on${id}`,
    tags: ['webhooks'],
    summary: description,
    security: [],
    parameters: Object.entries(WEBHOOK_HEADERS).map(([name, text]) => ({
      name,
      in: 'header',
      required: true,
      description: text,
      schema: { type: 'string' },
    })),
    requestBody: {
      required: true,
      content: { 'application/json': { schema: { $ref: `#/components/schemas/${id}` } } },
    },
    responses: {
      '2XX': { description: 'Received' },
      '410': { description: 'Not wanted any more: the gateway gives up' },
      default: { description: 'Not received: the gateway retries for three days' },
    },
  };
  return [schema.shape.type.value, { post }];
}
