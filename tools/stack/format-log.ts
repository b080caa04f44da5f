/** Prints a line of a process. Hides lines that an engine itself writes: a failed start shows them. */
export function printLog(name: string, line: string): void {
  const isChatter = (name === 'redis' || name === 'postgres') && !line.startsWith('{');
  if (!isChatter || process.env['LOG_LEVEL'] === 'debug') console.log(formatLog(name, line));
}

/** Formats a JSON log line for a terminal: time, process, event, fields. Other lines keep their text. */
export function formatLog(name: string, line: string): string {
  const parsed = parse(line);
  if (parsed === undefined) return `${name.padEnd(13)} ${line}`;
  const { level = 'info', time, app: _app, event, context: _context, err, ...fields } = parsed;
  const at = new Date(typeof time === 'string' ? time : Date.now()).toISOString().slice(11, 23);
  const severity = level === 'info' ? '' : `${text(level).toUpperCase()} `;
  const details = Object.entries(fields).map(([key, value]) => `${key}=${text(value)}`);
  return [`${at} ${name.padEnd(13)} ${severity}${text(event)}`, ...details, reasonOf(err)].filter(Boolean).join('  ');
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function reasonOf(err: unknown): string {
  if (typeof err !== 'object' || err === null) return '';
  if ('message' in err && err.message) return `(${text(err.message)})`;
  return 'code' in err ? `(${text(err.code)})` : '';
}
