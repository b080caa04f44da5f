/** Deepest JSON that is read: writing JSON of some thousand levels overflows the stack, here and in Postgres. */
const DEPTH_MAX = 500;
const STRING_OR_BRACKET = /"[^"\\]*(?:\\.[^"\\]*)*"|[[\]{}]/gs;

function isTooDeep(text: string): boolean {
  if (text.length < 2 * DEPTH_MAX) return false;
  let depth = 0;
  for (const [found] of text.matchAll(STRING_OR_BRACKET)) {
    if (found === '[' || found === '{') depth += 1;
    else if (found === ']' || found === '}') depth -= 1;
    if (depth > DEPTH_MAX) return true;
  }
  return false;
}

/** JSON where the body is JSON, else its text. */
export function bodyOf(text: string): unknown {
  if (isTooDeep(text)) return text;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** Providers write numbers as text, too. */
export function numberOf(value: unknown): number | undefined {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) && number >= 0 ? number : undefined;
}
