/** Which methods the routes of an app support, for 405. */
export class AllowedMethods {
  private readonly methodsOf = new Map<string, Set<string>>();
  private routes: { pattern: RegExp; methods: Set<string> }[] | undefined;

  /** @param url of a Fastify route, such as `/messages/:id` or `/docs/*` */
  add(url: string, methods: string | string[]): void {
    const known = this.methodsOf.get(url) ?? new Set();
    this.methodsOf.set(url, known);
    for (const method of [methods].flat()) known.add(method);
    this.routes = undefined;
  }

  /** Sorted; empty for a path without a route. */
  of(path: string): string[] {
    this.routes ??= [...this.methodsOf].map(([url, methods]) => ({ pattern: patternOf(url), methods }));
    const methods = new Set<string>();
    for (const route of this.routes) {
      if (route.pattern.test(path)) for (const method of route.methods) methods.add(method);
    }
    return [...methods].toSorted();
  }
}

function patternOf(url: string): RegExp {
  const escaped = url.replaceAll(/[.+?^${}()|[\]\\]/g, String.raw`\$&`);
  return new RegExp(`^${escaped.replaceAll(/:[^/]+/g, '[^/]+').replaceAll('*', '.*')}$`);
}
