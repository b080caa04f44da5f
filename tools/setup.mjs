// Prepares a clone, then runs a tool: installs dependencies that are missing, builds output that is stale.
// Plain JavaScript without dependencies: it runs before the installation.
//   node tools/setup.mjs [tool [arguments…]]
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
process.chdir(ROOT);

/** Tools that verify the product; all others are in `tools`. */
const VERIFICATION = ['prove', 'bench'];
const SOURCES = [
  'apps',
  'examples',
  'libs',
  'tools',
  ...['engines', 'testbed', ...VERIFICATION].map((dir) => `verification/${dir}`),
];

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Octo needs Node 20.19 or newer; this is ${process.versions.node}.`);
  process.exit(1);
}

installIfMissing();
buildIfStale({ stamp: 'dist/.octo-built', inputs: appSources(), build: buildApps });
buildIfStale({ stamp: 'dist/.octo-console-built', inputs: consoleSources(), build: buildConsole });
const [tool, ...toolArgs] = process.argv.slice(2);
if (tool !== undefined) runTool(tool, toolArgs);

function installIfMissing() {
  const stamp = 'node_modules/.octo-installed';
  const wanted = createHash('sha256').update(readFileSync('package-lock.json')).digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  // Not `npm ci`: it rejects a lock file from a system that could not see another system's optional binaries.
  run('installing dependencies', 'npm', ['install', '--no-save', '--no-fund', '--no-audit', '--loglevel=error']);
  writeFileSync(stamp, wanted);
}

function buildIfStale({ stamp, inputs, build }) {
  const wanted = fingerprint([...inputs, 'tsconfig.json', 'package-lock.json']);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  build();
  writeFileSync(stamp, wanted);
}

function buildApps() {
  run('building', process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json']);
  dropOrphans();
  for (const file of ['apps', 'examples', 'libs']
    .flatMap(files)
    .filter((path) => path.endsWith('.lua') || path.includes('/migrations/'))) {
    mkdirSync(dirname(join('dist', file)), { recursive: true });
    cpSync(file, join('dist', file));
  }
  run('bundling', process.execPath, ['tools/bundle-programs.mjs']);
}

function buildConsole() {
  const vite = ['node_modules/vite/bin/vite.js', 'build', '--config', 'apps/console/vite.config.ts'];
  run('building the console', process.execPath, vite);
}

/** Deletes the output of sources that were deleted or renamed. */
function dropOrphans() {
  for (const output of SOURCES.flatMap((dir) => files(join('dist', dir)))) {
    const source = output.slice('dist/'.length).replace(/\.js(\.map)?$/, '.ts');
    if (!existsSync(source)) rmSync(output);
  }
}

function appSources() {
  const sources = SOURCES.flatMap(files).filter((path) => !/[.-]spec\.ts$/.test(path) && !isOfConsole(path));
  return [...sources, 'tsconfig.build.json'];
}

function consoleSources() {
  return files('apps/console').filter((path) => !/[.-]spec\.ts$/.test(path));
}

function isOfConsole(path) {
  return path.startsWith(join('apps', 'console'));
}

/** Changes when a file is added, removed or modified. */
function fingerprint(paths) {
  const hash = createHash('sha256');
  for (const path of paths) {
    const { size, mtimeMs } = statSync(path);
    hash.update(`${path} ${size} ${mtimeMs}\n`);
  }
  return hash.digest('hex');
}

function files(dir) {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

function run(what, command, args) {
  const startedAt = Date.now();
  process.stdout.write(`${what} … `);
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  if (status !== 0) {
    console.error(`failed\n${stdout}${stderr}`);
    process.exit(1);
  }
  console.log(`${((Date.now() - startedAt) / 1000).toFixed(1)} s`);
}

function folderOf(name) {
  if (VERIFICATION.includes(name)) return `verification/${name}`;
  return name === 'start' ? 'bin' : 'tools';
}

function runTool(name, args) {
  const child = spawn(process.execPath, ['--enable-source-maps', `dist/${folderOf(name)}/${name}.js`, ...args], {
    // The IPC channel: it closes when this process ends, however it ends, and the tool stops then.
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  // The terminal sends Ctrl-C to the tool too, and the tool decides when to end.
  process.on('SIGINT', () => {});
  // npm's shell does not forward SIGTERM: npm ends, and this process gets another parent.
  const { ppid } = process;
  setInterval(() => process.ppid !== ppid && child.kill('SIGTERM'), 500).unref();
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  child.on('exit', (code, signal) => process.exit(code ?? (signal === null ? 1 : 130)));
}
