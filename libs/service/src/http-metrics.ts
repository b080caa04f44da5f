import type { FastifyInstance } from 'fastify';
import { Histogram } from 'prom-client';

/** Other methods share one label: a caller must not be able to create series. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

const CLASSES = ['other', '1xx', '2xx', '3xx', '4xx', '5xx'];

/** The labels are bounded: methods, route patterns and classes of status. */
const duration = new Histogram({
  name: 'octo_http_request_duration_seconds',
  help: 'Time from the headers of a request to the end of its answer',
  labelNames: ['method', 'route', 'status'],
  buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
});

/** Measures every request. */
export function measureRequests(fastify: FastifyInstance): void {
  fastify.addHook('onResponse', (request, reply, done) => {
    const { method } = request;
    const { raw } = reply;
    const labels = {
      method: METHODS.has(method) ? method : 'other',
      route: request.routeOptions.url ?? 'none',
      // A caller that leaves before the answer gets no status.
      status: raw.headersSent ? (CLASSES[Math.trunc(raw.statusCode / 100)] ?? 'other') : 'aborted',
    };
    duration.observe(labels, reply.elapsedTime / 1_000);
    done();
  });
}
