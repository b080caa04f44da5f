import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Names of Chromium and of its relatives in packages of several systems. The one without windows takes half the time. */
const NAMES = [
  'chromium-headless-shell',
  'chromium',
  'chromium-browser',
  'google-chrome',
  'google-chrome-stable',
  'microsoft-edge',
];

export const NO_BROWSER =
  'no Chromium on the PATH: install the package chromium, or set CHROME_PATH to a Chromium, Chrome or Edge';

/** `CHROME_PATH`, or the first Chromium on the `PATH`; undefined if there is none. */
export function findChromium({ CHROME_PATH, PATH = '' }: NodeJS.ProcessEnv): string | undefined {
  if (CHROME_PATH !== undefined && CHROME_PATH !== '') return isExecutable(CHROME_PATH) ? CHROME_PATH : undefined;
  const candidates = PATH.split(delimiter).flatMap((dir) => NAMES.map((name) => join(dir, name)));
  return candidates.find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
