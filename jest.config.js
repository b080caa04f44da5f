const suites = [
  '<rootDir>/{apps,examples,libs,tools,verification}/**/*.spec.ts',
  '<rootDir>/{apps,examples,libs,test}/**/*.e2e-spec.ts',
];
/** They need servers of this machine: redis-servers to kill, freeze and cluster, and nginx. */
const native = ['<rootDir>/{libs,test}/**/*.native-spec.ts'];

/** One project for everything: unit specs beside the source, e2e suites in apps/*\/test, whole-system ones in test/. */
export default {
  testMatch: process.env['TEST_ENGINES'] === 'native' ? [...suites, ...native] : suites,
  // They need a browser: `npm test` looks for one.
  testPathIgnorePatterns: ['/node_modules/', ...(process.env['CHROME_PATH'] ? [] : ['<rootDir>/apps/console/test/'])],
  modulePathIgnorePatterns: ['<rootDir>/dist/'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          target: 'es2023',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
        },
        module: { type: 'es6' },
        sourceMaps: 'inline',
      },
    ],
  },
  moduleNameMapper: {
    '^#([a-z-]+)$': '<rootDir>/libs/$1/src/index.ts',
    '^(\\.{1,2}/.*)\\.js$': '$1',
  },
  testTimeout: 120_000,
  maxWorkers: 2,
};
