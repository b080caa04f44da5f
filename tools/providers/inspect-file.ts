import { SettingsError } from '#service';
import { type ProvidersFile, readProvidersFile } from '../../apps/gateway/src/providers/providers-file.js';
import { lookupIn, type Variable } from '../../apps/gateway/src/providers/yaml-file.js';

/** Stands for a secret in everything that is printed. */
export const MASK = '***';
/** Stands for a secret that is a URL. */
const MASKED_URL = 'https://***';

export interface InspectedFile {
  /** Variables and secret files without a value and without a default. */
  missing: string[];
  /** Every problem of the file, with file, line, column and field. */
  problems: string[];
  /** The file with masked secrets: the real ones never enter it. Undefined when it cannot be compiled. */
  masked: ProvidersFile | undefined;
}

/** Values for the variables of a file, by `keyOf`. */
type Values = ReadonlyMap<string, string>;

/** Reads a providers file as a gateway does, and once more with masked secrets. Works when variables are missing. */
export function inspectFile(path: string, env: NodeJS.ProcessEnv): InspectedFile {
  const real = new Map<string, string | undefined>();
  const find = lookupIn(env);
  const read = (values: Values) =>
    tryRead(path, env, (variable) => {
      const found = find(variable);
      if (found !== undefined || variable.fallback === undefined) real.set(keyOf(variable), found);
      return values.get(keyOf(variable)) ?? found;
    });
  const { problems } = read(new Map());
  const missing = [...real].filter(([, value]) => value === undefined).map(([key]) => key);
  const standIns = chooseStandIns(missing, problems, (values) => read(values).problems);
  // Missing variables hide the other problems of the file.
  const hidden = read(standIns).problems.filter((problem) => !problems.includes(problem));
  const masks = chooseMasks(real, standIns, (values) => read(values).problems.length);
  return { missing, problems: [...problems, ...hidden], masked: read(masks).file };
}

function keyOf({ name, file }: Variable): string {
  return file ?? name ?? '';
}

function tryRead(
  path: string,
  env: NodeJS.ProcessEnv,
  lookup: (variable: Variable) => string | undefined,
): { file: ProvidersFile | undefined; problems: string[] } {
  try {
    return { file: readProvidersFile(path, env, lookup), problems: [] };
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    return { file: undefined, problems: error.problems };
  }
}

/** For each missing variable a value that its field accepts: a text, a number or a URL. */
function chooseStandIns(
  missing: readonly string[],
  problems: readonly string[],
  problemsWith: (values: Values) => string[],
): Values {
  const chosen = new Map(missing.map((key) => [key, MASK]));
  const isAccepted = (key: string, candidate: string): boolean => {
    const places = new Set(problems.filter((problem) => problem.includes(` ${key} `)).map(placeOf));
    const others = problemsWith(new Map(chosen).set(key, candidate));
    return !others.some((problem) => places.has(placeOf(problem)));
  };
  // Twice: a bad number hides a bad URL elsewhere.
  for (const key of [...missing, ...missing]) {
    const candidate = [MASK, '1', MASKED_URL].find((value) => isAccepted(key, value));
    if (candidate !== undefined) chosen.set(key, candidate);
  }
  return chosen;
}

/** `path:line:column:` of a problem. */
function placeOf(problem: string): string {
  return /^.*?:\d+:\d+:/.exec(problem)?.[0] ?? '';
}

/** A mask for each variable that has a value, with which the file stays valid. A number keeps its value. */
function chooseMasks(
  real: ReadonlyMap<string, string | undefined>,
  standIns: Values,
  countProblems: (values: Values) => number,
): Values {
  const chosen = new Map(standIns);
  const usual = countProblems(standIns);
  for (const [key, value] of real) {
    if (value === undefined) continue;
    const candidates = /^https?:\/\//i.test(value) ? [MASKED_URL, MASK] : [MASK];
    const mask = candidates.find((candidate) => countProblems(new Map(chosen).set(key, candidate)) <= usual);
    if (mask !== undefined) chosen.set(key, mask);
  }
  return chosen;
}
