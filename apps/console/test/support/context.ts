import type { Site } from './site.js';

export interface Context {
  site: Site;
  /** For a test in which the API answers with an error: browsers write that to the console. */
  expectRefusals: () => void;
}

export type ContextOf = () => Context;
