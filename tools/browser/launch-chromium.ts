import { type Browser, chromium } from 'playwright-core';

/** A headless Chromium that talks to nothing by itself. */
export function launchChromium(executablePath: string): Promise<Browser> {
  // Chromium has no sandbox for root, which containers and CI use; the only pages it opens are those of this project.
  const isRoot = process.getuid?.() === 0;
  return chromium.launch({ executablePath, chromiumSandbox: !isRoot, args: ['--disable-background-networking'] });
}
