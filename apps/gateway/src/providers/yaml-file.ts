import { readFileSync } from 'node:fs';
import { type Document, isCollection, isNode, isPair, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { SettingsError } from '#service';

/** A YAML file with its values substituted, which can say where in the file a field stands. */
export interface YamlFile {
  value: unknown;
  /** Values that came from the environment or from files. */
  secrets: ReadonlySet<string>;
  /** @returns `path:line:column: field: message` */
  problemAt(field: readonly PropertyKey[], message: string): string;
}

/** Something that a value of the file takes from outside; one of `name` and `file` is set. */
export interface Variable {
  name: string | undefined;
  file: string | undefined;
  fallback: string | undefined;
}

/** Finds the value of a variable. Undefined: it has none, and the default counts. */
export type Lookup = (variable: Variable) => string | undefined;

/** `${NAME}`, `${NAME:-default}` or `${file:/path}`. */
const VARIABLE = /\$\{(?:file:([^}]+)|(\w+)(?::-([^}]*))?)\}/g;

/**
 * Reads a YAML file and substitutes its variables.
 * @throws SettingsError naming every syntax error and every missing variable with its line and column
 */
export function readYamlFile(path: string, lookup: Lookup): YamlFile {
  const lines = new LineCounter();
  const document = parseDocument(read(path), { lineCounter: lines });
  const placed = (offset: number, message: string): string => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${line}:${col}: ${message}`;
  };
  if (document.errors.length > 0) {
    throw new SettingsError(document.errors.map(({ pos: [offset], message }) => placed(offset, firstLine(message))));
  }
  const problems: string[] = [];
  const secrets = new Set<string>();
  const problemAt = (field: readonly PropertyKey[], message: string): string =>
    placed(offsetOf(document, field), field.length === 0 ? message : `${field.map(String).join('.')}: ${message}`);
  const value = substitute(document.toJS(), [], (text, field) =>
    text.replaceAll(VARIABLE, (_, file: string | undefined, name: string | undefined, fallback: string | undefined) => {
      const found = lookup({ name, file, fallback }) ?? fallback;
      if (found === undefined)
        problems.push(problemAt(field, `${file ?? name} ${file ? 'cannot be read' : 'is not set'}`));
      else if (found !== fallback) secrets.add(found);
      return found ?? '';
    }),
  );
  if (problems.length > 0) throw new SettingsError(problems);
  return { value, secrets, problemAt };
}

/** `${NAME}` comes from the environment, where an empty variable counts as not set; `${file:/path}` from a file. */
export function lookupIn(env: NodeJS.ProcessEnv): Lookup {
  return ({ name = '', file }) => (file === undefined ? env[name] || undefined : readSecret(file));
}

/** Every issue of a schema, with the place of its field. */
export function problemsOf(file: YamlFile, error: z.ZodError): string[] {
  return error.issues.flatMap((issue) => {
    if (issue.code === 'invalid_key') {
      return issue.issues.map(({ message }) => file.problemAt(issue.path, message));
    }
    if (issue.code !== 'unrecognized_keys') return file.problemAt(issue.path, issue.message);
    return issue.keys.map((key) => file.problemAt([...issue.path, key], 'is not a known field'));
  });
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new SettingsError([`PROVIDERS_FILE: cannot read ${path}: ${(cause as Error).message}`]);
  }
}

/** Without the line break that editors and secret stores put at the end. */
function readSecret(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').replace(/\r?\n$/, '');
  } catch {
    return undefined;
  }
}

type Replace = (text: string, field: readonly PropertyKey[]) => string;

function substitute(value: unknown, field: readonly PropertyKey[], replace: Replace): unknown {
  if (typeof value === 'string') return replace(value, field);
  if (Array.isArray(value)) return value.map((item, index) => substitute(item, [...field, index], replace));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, substitute(item, [...field, key], replace)]),
  );
}

/** Where a field stands: its key, else the nearest field around it that exists. */
function offsetOf(document: Document, field: readonly PropertyKey[]): number {
  for (let depth = field.length; depth > 0; depth -= 1) {
    const parent = depth === 1 ? document.contents : document.getIn(field.slice(0, depth - 1), true);
    const name = field[depth - 1];
    if (!isCollection(parent)) continue;
    const item = parent.items.find((candidate, index) =>
      isPair(candidate) ? isNode(candidate.key) && String(candidate.key) === String(name) : index === name,
    );
    const node = isPair(item) ? item.key : item;
    if (isNode(node) && node.range) return node.range[0];
  }
  return 0;
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}
