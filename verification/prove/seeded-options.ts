import { parseArgs } from 'node:util';

export interface SeededOptions {
  isQuick: boolean;
  seed: number;
  markdown: string | undefined;
}

/** `[--quick] [--seed N] [--markdown FILE]`, of a proof that draws its faults. */
export function readSeededOptions(args: string[]): SeededOptions {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean', default: false },
      seed: { type: 'string', default: String(Date.now() % 1e6) },
      markdown: { type: 'string' },
    },
  });
  return { isQuick: values.quick, seed: Number(values.seed), markdown: values.markdown };
}
