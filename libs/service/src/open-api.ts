import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { type ProblemCode, PROBLEMS, problemSchema } from '#contracts';
import { PROBLEM_JSON } from './api-problems.js';
import type { OwnProblem } from './problem.js';

type PathItem = OpenAPIObject['paths'][string];
type Operation = NonNullable<PathItem['get']>;
type Schemas = NonNullable<NonNullable<OpenAPIObject['components']>['schemas']>;

/** The body of a webhook, whose name is the literal `type`; the schema has a description. */
export type WebhookSchema = z.ZodType & { shape: { type: z.ZodLiteral<string> } };

const METHODS = ['get', 'put', 'post', 'patch', 'delete'] as const;

/** What the document says about the app. */
export interface ApiTexts {
  title: string;
  description: string;
  /** Codes of problems that only this app has. */
  problems?: readonly OwnProblem[];
}

const OCTO: ApiTexts = {
  title: 'Octo',
  description: 'Sends messages through the cheapest provider that has room: free quota first, paid when needed.',
};

/** The API of an app, from its controllers and their schemas: OpenAPI 3.1, whose schemas are JSON Schema. */
export function describeApi(
  app: NestFastifyApplication,
  webhooks: readonly WebhookSchema[] = [],
  { title, description, problems = [] }: ApiTexts = OCTO,
): OpenAPIObject {
  const config = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle(title)
    .setDescription(description)
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
  const schemas = { ...schemasOf([withCodes(problems), ...webhooks]), ...document.components?.schemas };
  return {
    ...document,
    ...(webhooks.length > 0 && { webhooks: Object.fromEntries(webhooks.map(webhookOf)) }),
    components: { ...document.components, schemas },
  };
}

function withCodes(problems: readonly OwnProblem[]): z.ZodType {
  if (problems.length === 0) return problemSchema;
  const codes = [...Object.keys(PROBLEMS), ...problems.map(({ code }) => code)];
  return problemSchema.extend({ code: z.enum(codes) }).meta({ id: 'Problem' });
}

/** How long a completed document is served before it is completed again. */
const COMPLETED_MS = 5_000;

/**
 * Serves the OpenAPI document at `/openapi.json`. It is made once, on the first request, so that it does not delay the start.
 * @param complete adds what another app describes; runs at most every 5 s and must not fail
 */
export function serveOpenApi(
  app: NestFastifyApplication,
  describe: () => OpenAPIObject,
  complete: (own: OpenAPIObject) => Promise<OpenAPIObject> | OpenAPIObject = (own) => own,
): void {
  const fastify: FastifyInstance = app.getHttpAdapter().getInstance();
  let own: OpenAPIObject | undefined;
  let text: Promise<string> | undefined;
  let completedAtMs = 0;
  const make = async (): Promise<string> => JSON.stringify(await complete((own ??= describe())));
  fastify.get('/openapi.json', async (_request, reply) => {
    const nowMs = performance.now();
    if (text === undefined || nowMs - completedAtMs > COMPLETED_MS) {
      completedAtMs = nowMs;
      text = make();
    }
    return reply.type('application/json').send(await text);
  });
}

/** Serves a page for people at `/docs`. It reads `/openapi.json`; the app names it among its `inlineStylePages`. */
export function serveDocs(app: NestFastifyApplication): void {
  const placeholder = { openapi: '3.1.0', info: { title: 'API', version: '' }, paths: {} };
  SwaggerModule.setup('docs', app, () => placeholder, { raw: false, swaggerOptions: { url: '/openapi.json' } });
}

/**
 * What holds for every operation: without a security requirement it is public, large headers are refused, and so are
 * requests from pages of other origins that change something.
 */
function completeOperations(path: PathItem): void {
  for (const method of METHODS) {
    const operation = path[method];
    if (operation === undefined) continue;
    operation.security ??= [];
    operation.responses['431'] ??= problemResponse('headers_too_large');
    if (method !== 'get') operation.responses['403'] ??= problemResponse('forbidden');
  }
}

function problemResponse(code: ProblemCode): Operation['responses'][string] {
  return {
    description: `\`${code}\`: ${PROBLEMS[code][1]}`,
    content: { 'application/problem+json': { schema: PROBLEM_JSON } },
  };
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
