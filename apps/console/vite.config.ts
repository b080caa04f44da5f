import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { defineConfig, type Plugin } from 'vite';

const OUT_DIR = fileURLToPath(new URL('../../dist/console', import.meta.url));

/** The gateway sends these as they are: it compresses nothing itself. */
function compressAssets(): Plugin {
  return {
    name: 'octo:compress-assets',
    closeBundle() {
      const dir = join(OUT_DIR, 'assets');
      for (const name of readdirSync(dir).filter((file) => /\.(js|css|svg)$/.test(file))) {
        const content = readFileSync(join(dir, name));
        writeFileSync(join(dir, `${name}.br`), brotliCompressSync(content));
        writeFileSync(join(dir, `${name}.gz`), gzipSync(content));
      }
    },
  };
}

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: '/console/',
  cacheDir: fileURLToPath(new URL('../../node_modules/.cache/vite', import.meta.url)),
  build: {
    outDir: OUT_DIR,
    emptyOutDir: true,
    target: 'es2022',
    // The Content-Security-Policy allows no `data:` fonts or scripts, and every asset can be cached for good.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  plugins: [compressAssets()],
});
