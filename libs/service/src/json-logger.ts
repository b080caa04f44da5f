import type { LoggerService } from '@nestjs/common';
import { type DestinationStream, type Logger as Pino, pino } from 'pino';

type Level = 'debug' | 'info' | 'warn' | 'error';

/** Contexts in which Nest logs its own start, at debug level here. */
const FRAMEWORK = new Set(['NestFactory', 'InstanceLoader', 'RoutesResolver', 'RouterExplorer', 'NestApplication']);
/** Context in which Nest logs the error of a start that `runApp` logs as well. */
const REPEATS = new Set(['ExceptionHandler']);
/** Buffer for a standard output that blocks; further lines are dropped. */
const MAX_BUFFER_BYTES = 1_048_576;

/**
 * Standard output, written synchronously. With an asynchronous destination pino writes the rest at the end of the process
 * until it is read: a process whose reader is gone would never end.
 */
function standardOutput(): DestinationStream {
  const output = pino.destination({ dest: 1, sync: true, maxLength: MAX_BUFFER_BYTES });
  // There is nowhere to log it, and no reason to stop serving.
  output.on('error', () => undefined);
  return output;
}

/**
 * One JSON object per line on standard output. Called through Nest's `Logger`:
 * `logger.log('quota reopened', { provider, epoch })`, the event first, then its fields.
 */
export class JsonLogger implements LoggerService {
  private readonly pino: Pino;
  private readonly usualLevel: Level;

  constructor({ app, level }: { app: string; level: Level }) {
    this.usualLevel = level;
    this.pino = pino(
      {
        level,
        base: { app },
        timestamp: pino.stdTimeFunctions.isoTime,
        messageKey: 'event',
        formatters: { level: (label) => ({ level: label }) },
      },
      standardOutput(),
    );
  }

  /** Writes debug lines as well from now on, or no longer. @returns the level in force */
  toggleDebug(): string {
    this.pino.level = this.pino.level === 'debug' ? this.usualLevel : 'debug';
    return this.pino.level;
  }

  log(event: unknown, ...rest: unknown[]): void {
    this.write('info', event, rest);
  }

  warn(event: unknown, ...rest: unknown[]): void {
    this.write('warn', event, rest);
  }

  error(event: unknown, ...rest: unknown[]): void {
    this.write('error', event, rest);
  }

  debug(event: unknown, ...rest: unknown[]): void {
    // Every message has such a line.
    if (!this.pino.isLevelEnabled('debug')) return;
    this.write('debug', event, rest);
  }

  /** Nest appends the context as the last string, after the stack if there is one. */
  private write(level: Level, event: unknown, rest: unknown[]): void {
    const context = typeof rest.at(-1) === 'string' ? String(rest.at(-1)) : undefined;
    const fields: Record<string, unknown> = Object.assign({}, ...rest.filter((part) => typeof part === 'object'));
    if (context !== undefined) fields['context'] = context;
    if (event instanceof Error) fields['err'] = event;
    const isChatter = (FRAMEWORK.has(context ?? '') && level === 'info') || REPEATS.has(context ?? '');
    const atLevel = isChatter ? 'debug' : level;
    this.pino[atLevel](fields, event instanceof Error ? event.message : String(event));
  }
}
