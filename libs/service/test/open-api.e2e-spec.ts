import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import * as contracts from '#contracts';
import { type Stack, startStack } from '../../../test/support/stack.js';

interface Operation {
  operationId?: string;
  security?: Record<string, string[]>[];
  responses: Record<string, unknown>;
  requestBody?: { content: { 'application/json': { schema: { $ref: string } } } };
}
interface Document {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  webhooks: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, { example?: unknown }> };
}

let stack: Stack;
let document: Document;
beforeAll(async () => {
  const CALLBACK_SECRETS = `whsec_${randomBytes(32).toString('base64')}`;
  stack = await startStack({ env: { CALLBACK_SECRETS, CALLBACK_ALLOW_PRIVATE: 'true' } });
  document = (await (await fetch(`${stack.origin.gateway}/openapi.json`)).json()) as Document;
});
afterAll(() => stack.stop());

interface Found {
  name: string;
  method: string;
  path: string;
  operation: Operation;
}

function operationsIn(paths: Document['paths']): Found[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ name: `${method} ${path}`, method, path, operation })),
  );
}

/** Name and example of the schema of each request body. */
function examples(): { path: string; schemaName: string; example: unknown }[] {
  return operationsIn(document.paths).flatMap(({ path, operation }) => {
    const reference = operation.requestBody?.content['application/json'].schema.$ref;
    if (reference === undefined) return [];
    const schemaName = reference.split('/').at(-1) ?? '';
    return [{ path, schemaName, example: document.components.schemas[schemaName]?.example }];
  });
}

const exampleOf = (path: string): unknown => examples().find((candidate) => candidate.path === path)?.example;

/** The cookie of the account in the example of the login. */
async function logIn(): Promise<string> {
  const answer = await send('post', '/auth/login', { body: exampleOf('/auth/login') });
  expect(answer.status).toBe(200);
  return answer.headers.getSetCookie()[0]?.split(';', 1)[0] ?? '';
}

function send(method: string, path: string, { body, cookie }: { body?: unknown; cookie?: string } = {}) {
  return fetch(`${stack.origin.gateway}${path.replace('{id}', '01999999-9999-7999-8999-999999999999')}`, {
    method: method.toUpperCase(),
    headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...(cookie && { cookie }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
}

describe('the OpenAPI document', () => {
  it('gives every operation a unique id, its security, a 2xx and a 4xx answer', () => {
    const operations = [...operationsIn(document.paths), ...operationsIn(document.webhooks)];
    expect(operations.length).toBeGreaterThan(15);
    const ids = operations.map(({ operation }) => operation.operationId);
    expect(new Set(ids.filter((id) => id !== undefined)).size).toBe(operations.length);
    const incomplete = operations.filter(
      ({ operation: { security, responses } }) =>
        security === undefined ||
        !['2', '4'].every((first) => Object.keys(responses).some((status) => status.startsWith(first))),
    );
    expect(incomplete.map(({ name }) => name)).toEqual([]);
  });

  it('describes a webhook for each end of a message', () => {
    expect(document.openapi).toMatch(/^3\.1/);
    expect(Object.keys(document.webhooks)).toEqual(
      ['delivered', 'failed', 'expired', 'cancelled', 'unknown'].map((status) => `message.${status}`),
    );
  });

  it('describes the body of a webhook that is sent', async () => {
    const receiver = createServer().listen(0, '127.0.0.1');
    await once(receiver, 'listening');
    try {
      const callbackUrl = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`;
      const cookie = await logIn();
      const received = once(receiver, 'request') as Promise<[request: IncomingMessage, { end: () => void }]>;
      expect((await send('post', '/messages', { body: { message: 'hello', callbackUrl }, cookie })).status).toBe(200);
      const [request, response] = await received;
      const body = await json(request);
      response.end();
      expect(contracts.messageEventSchema.parse(body)).toEqual(body);
      expect(request.headers).toMatchObject({
        'webhook-id': expect.any(String),
        'webhook-signature': expect.any(String),
      });
    } finally {
      receiver.close();
    }
  });

  it('documents as protected exactly the operations that answer 401 without a token', async () => {
    const answers = await Promise.all(
      operationsIn(document.paths).map(async ({ name, method, path, operation: { security = [] } }) => {
        const isOptional = security.length === 0 || security.some((scheme) => Object.keys(scheme).length === 0);
        const { status } = await send(method, path);
        return { name, isProtected: !isOptional, isRefused: status === 401 };
      }),
    );
    expect(answers.filter(({ isProtected, isRefused }) => isProtected !== isRefused)).toEqual([]);
  });

  it('has an example for each request body, which its own schema accepts', () => {
    const schemas = Object.values(contracts).filter((value) => value instanceof z.ZodType);
    const checked = examples().map(({ schemaName, example }) => {
      const schema = schemas.find((candidate) => candidate.meta()?.id === schemaName);
      return { schemaName, isValid: schema?.safeParse(example).success };
    });
    expect(checked.map(({ schemaName }) => schemaName).toSorted()).toEqual([
      'AccountPatch',
      'Credentials',
      'NewApiKey',
      'PasswordChange',
      'PasswordConfirmation',
      'PasswordConfirmation',
      'PasswordReset',
      'ProviderSwitchPatch',
      'Reauthentication',
      'Reauthentication',
      'Registration',
      'SendMessage',
      'TotpConfirmation',
    ]);
    expect(checked.filter(({ isValid }) => isValid !== true)).toEqual([]);
  });

  it('has examples for register, login and messages that succeed as they are', async () => {
    const registered = await send('post', '/auth/register', { body: exampleOf('/auth/register') });
    expect(registered.status).toBe(201);
    const sent = await send('post', '/messages', { body: exampleOf('/messages'), cookie: await logIn() });
    expect(sent.status).toBe(200);
  });
});
