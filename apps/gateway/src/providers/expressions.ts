import jsonata from 'jsonata';
import { compilePath, UNDECIDED } from './compile-path.js';

/** A JSONata expression or a template that has expressions. */
export interface Compiled {
  /** @throws ExpressionError */
  evaluate(input: unknown): Promise<unknown>;
}

/** An expression that cannot be compiled, or that failed on its input. */
export class ExpressionError extends Error {
  override name = 'ExpressionError';
}

/**
 * Compiles a JSONata expression (https://docs.jsonata.org).
 * @throws ExpressionError naming the position of a syntax error
 */
export function compileExpression(source: string): Compiled {
  let expression: jsonata.Expression;
  try {
    expression = jsonata(source);
  } catch (error) {
    throw new ExpressionError(`expression "${source}": ${messageOf(error)}${positionOf(error)}`, { cause: error });
  }
  const lookUp = compilePath(source);
  return {
    async evaluate(input) {
      const found = lookUp === undefined ? UNDECIDED : lookUp(input);
      if (found !== UNDECIDED) return found;
      try {
        return plain(await expression.evaluate(input));
      } catch (error) {
        throw new ExpressionError(`expression "${source}" failed: ${messageOf(error)}`, { cause: error });
      }
    },
  };
}

/** A value from the providers file, whose strings may hold `{{ expression }}`. */
export type Template = { isConstant: true; value: unknown } | ({ isConstant: false } & Compiled);

/**
 * Compiles a JSON value. A string that is one expression takes the JSON type of its value; elsewhere the value is inserted
 * as text. Members and items whose value is undefined are left out.
 * @throws ExpressionError
 */
export function compileTemplate(value: unknown): Template {
  if (typeof value === 'string') return compileText(value);
  if (Array.isArray(value)) return compileItems(value);
  if (typeof value !== 'object' || value === null) return { isConstant: true, value };
  return compileMembers(value);
}

function compileItems(items: readonly unknown[]): Template {
  const templates = items.map(compileTemplate);
  if (templates.every(({ isConstant }) => isConstant)) return { isConstant: true, value: items };
  return {
    isConstant: false,
    async evaluate(input) {
      const values = await Promise.all(templates.map((template) => valueOf(template, input)));
      return values.filter((item) => item !== undefined);
    },
  };
}

function compileMembers(members: object): Template {
  const templates = Object.entries(members).map(([key, member]) => [key, compileTemplate(member)] as const);
  if (templates.every(([, { isConstant }]) => isConstant)) return { isConstant: true, value: members };
  return {
    isConstant: false,
    async evaluate(input) {
      const entries = await Promise.all(
        templates.map(async ([key, template]) => [key, await valueOf(template, input)] as const),
      );
      return Object.fromEntries(entries.filter(([, member]) => member !== undefined));
    },
  };
}

/** The value of a template for one input. */
export function valueOf(template: Template, input: unknown): unknown {
  return template.isConstant ? template.value : template.evaluate(input);
}

function compileText(text: string): Template {
  const parts = partsOf(text);
  const [only] = parts;
  if (parts.length === 0 || (parts.length === 1 && typeof only === 'string')) return { isConstant: true, value: text };
  if (parts.length === 1 && only !== undefined && typeof only !== 'string') return { isConstant: false, ...only };
  return {
    isConstant: false,
    async evaluate(input) {
      const texts = await Promise.all(parts.map((part) => insertion(part, input)));
      return texts.join('');
    },
  };
}

async function insertion(part: string | Compiled, input: unknown): Promise<string> {
  if (typeof part === 'string') return part;
  const value = await part.evaluate(input);
  if (value === undefined || value === null) throw new ExpressionError('an expression inside a text has no value');
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** The constant texts and the expressions of a text, in order. An expression may itself hold `}}`. */
function partsOf(text: string): (string | Compiled)[] {
  const parts: (string | Compiled)[] = [];
  let at = 0;
  for (let open = text.indexOf('{{'); open >= 0; open = text.indexOf('{{', at)) {
    if (open > at) parts.push(text.slice(at, open));
    const { expression, end } = expressionAt(text, open + 2);
    parts.push(expression);
    at = end;
  }
  if (at < text.length) parts.push(text.slice(at));
  return parts;
}

function expressionAt(text: string, start: number): { expression: Compiled; end: number } {
  let failure: unknown = new ExpressionError(`"{{" without "}}" in "${text}"`);
  for (let close = text.indexOf('}}', start); close >= 0; close = text.indexOf('}}', close + 1)) {
    try {
      return { expression: compileExpression(text.slice(start, close).trim()), end: close + 2 };
    } catch (error) {
      // The first failure is the most telling one: later ends only add text to the expression.
      failure = close === text.indexOf('}}', start) ? error : failure;
    }
  }
  throw failure;
}

/** Without the marks that JSONata puts on its arrays. */
function plain(value: unknown): unknown {
  return Array.isArray(value) ? [...(value as unknown[])] : value;
}

function messageOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : String(error);
}

function positionOf(error: unknown): string {
  const isPlaced = typeof error === 'object' && error !== null && 'position' in error;
  return isPlaced ? ` at character ${String(error.position)}` : '';
}
