// `node tools/pack-quota.mjs`: packs libs/quota, with the part of libs/redis that it uses, as the npm package `octo-quota`, and
// prints the path of the archive.
import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

process.chdir(join(dirname(fileURLToPath(import.meta.url)), '..'));
const OUT = resolve('dist/packages/quota');
const DEPENDENCIES = ['ioredis', 'structured-headers', 'temporal-polyfill', 'zod'];

rmSync(OUT, { recursive: true, force: true });
execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'libs/quota/tsconfig.package.json'], {
  stdio: 'inherit',
});
cpSync('libs/quota/src/store/lua', join(OUT, 'lib/quota/src/store/lua'), { recursive: true });
cpSync('libs/quota/README.md', join(OUT, 'README.md'));
const versions = JSON.parse(readFileSync('package.json', 'utf8')).dependencies;
const dependencies = Object.fromEntries(DEPENDENCIES.map((name) => [name, `^${versions[name]}`]));
const manifest = { ...JSON.parse(readFileSync('libs/quota/npm-package.json', 'utf8')), dependencies };
writeFileSync(join(OUT, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
const [packed] = JSON.parse(execFileSync('npm', ['pack', '--json'], { cwd: OUT, encoding: 'utf8' }));
console.log(join(OUT, packed.filename));
