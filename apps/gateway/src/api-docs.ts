import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { OpenAPIObject } from '@nestjs/swagger';
import { messageEventSchema } from '#contracts';
import { describeApi, serveDocs, serveOpenApi } from '#service';

const AUTH_TIMEOUT_MS = 1_000;

/** Serves the OpenAPI document of the public origin, gateway and auth together, at `/openapi.json` and `/docs`. */
export function serveApiDocs(app: NestFastifyApplication, authUrl: string): void {
  serveOpenApi(
    app,
    () => describeApi(app, messageEventSchema.options),
    async (own) => withAuth(own, await fetchAuthDocument(authUrl)),
  );
  serveDocs(app);
}

/** Undefined when auth cannot be reached: the gateway's part is useful without it. */
async function fetchAuthDocument(authUrl: string): Promise<OpenAPIObject | undefined> {
  try {
    const response = await fetch(`${authUrl}/openapi.json`, { signal: AbortSignal.timeout(AUTH_TIMEOUT_MS) });
    return response.ok ? ((await response.json()) as OpenAPIObject) : undefined;
  } catch {
    return undefined;
  }
}

function withAuth(own: OpenAPIObject, auth: OpenAPIObject | undefined): OpenAPIObject {
  if (auth === undefined) return own;
  // Both describe health and metrics; this origin serves those of the gateway.
  return {
    ...own,
    paths: { ...auth.paths, ...own.paths },
    components: { ...own.components, schemas: { ...auth.components?.schemas, ...own.components?.schemas } },
  };
}
