import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { TOKEN_COOKIE } from '#access-token';

/** The OpenAPI document at `/openapi.json`, browsable at `/docs`; built when first asked for. */
export function serveApiDocs(app: NestFastifyApplication): void {
  const config = new DocumentBuilder()
    .setTitle('Octo')
    .setDescription('Sends messages by the cheapest provider that has room: free quota first, paid when it must.')
    .setVersion('0.1.0')
    .addCookieAuth(TOKEN_COOKIE)
    .addBearerAuth()
    .build();
  SwaggerModule.setup('docs', app, () => SwaggerModule.createDocument(app, config), {
    jsonDocumentUrl: 'openapi.json',
  });
}
