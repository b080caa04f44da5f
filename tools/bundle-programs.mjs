// Bundles the programs of `dist` into `dist/bin`, each with its packages: Node then opens a few files at the start of a
// process instead of 1,400, and starts in half the time. Plain JavaScript: `setup.mjs` runs it as part of the build.
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { build } from 'esbuild';

const OUT = resolve('dist/bin');
const APPS = ['auth', 'gateway', 'free-provider', 'paid-provider'];
const PROGRAMS = {
  ...Object.fromEntries(APPS.map((app) => [app, `dist/apps/${app}/src/main.js`])),
  ...examplePrograms(),
  admin: 'dist/apps/auth/src/admin.js',
  start: 'dist/tools/start.js',
};
/** Each process of an example is a folder with a `main.ts`: `examples/NAME/src/PROCESS/main.ts`. */
function examplePrograms() {
  const programs = {};
  for (const example of readdirSync('examples', { withFileTypes: true }).filter((entry) => entry.isDirectory())) {
    const src = `dist/examples/${example.name}/src`;
    for (const folder of readdirSync(src)) {
      const main = `${src}/${folder}/main.js`;
      if (existsSync(main)) programs[`${example.name}-${folder}`] = main;
    }
  }
  return programs;
}

/** Native code, files beside the code, and packages that Nest and pg look for and Octo does not have. */
const NOT_BUNDLED = [
  '@node-rs/argon2',
  '@fastify/static',
  'swagger-ui-dist',
  '@nestjs/microservices',
  '@nestjs/websockets',
  '@nestjs/platform-express',
  '@fastify/multipart',
  '@fastify/view',
  'class-validator',
  'class-transformer',
  'pg-native',
];
/** CommonJS packages expect these in a module. */
const COMMONJS = `import { createRequire as createRequireOfNode } from 'node:module';
const require = createRequireOfNode(import.meta.url);
const { filename: __filename, dirname: __dirname } = import.meta;`;

/** Scripts and migrations are found beside the module that names them, which is elsewhere now. */
const ownUrls = {
  name: 'own-urls',
  setup({ onLoad }) {
    onLoad({ filter: /[/\\]dist[/\\](apps|examples|libs|tools)[/\\].*\.js$/ }, ({ path }) => {
      const own = `new URL(${JSON.stringify(relative(OUT, path))}, import.meta.url)`;
      return { contents: withNames(readFileSync(path, 'utf8').replaceAll('import.meta.url', own)) };
    });
    onLoad({ filter: /[/\\]@nestjs[/\\].*\.js$/ }, ({ path }) => ({ contents: withNames(readFileSync(path, 'utf8')) }));
  },
};

/**
 * Nest takes names from classes, for its log and to tell modules apart, and esbuild renames classes of the same name.
 * (`keepNames` would name every function as well, each time it is created: that costs a fifth of the CPU.)
 */
function withNames(code) {
  return code.replaceAll(
    /^(?:export )?class (\w+)(?: extends [\w.]+)? \{/gm,
    (start, name) =>
      `${start} static { Object.defineProperty(this, 'name', { value: '${name}', configurable: true }); }`,
  );
}

rmSync(OUT, { recursive: true, force: true });
await build({
  entryPoints: PROGRAMS,
  outdir: OUT,
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  sourcemap: true,
  sourcesContent: false,
  external: NOT_BUNDLED,
  banner: { js: COMMONJS },
  plugins: [ownUrls],
  logLevel: 'warning',
});
