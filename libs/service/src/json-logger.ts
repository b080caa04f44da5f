import type { LoggerService } from '@nestjs/common';
import { type DestinationStream, type Logger as Pino, pino } from 'pino';

type Level = 'debug' | 'info' | 'warn' | 'error';

/** Contexts of the framework's own start-up chatter: of interest only when debugging. */
const FRAMEWORK = new Set(['NestFactory', 'InstanceLoader', 'RoutesResolver', 'RouterExplorer', 'NestApplication']);
/** Tells a second time what ended a start. */
const REPEATS = new Set(['ExceptionHandler']);
/** How much is kept for a standard output that takes nothing, in bytes; what comes on top is dropped. */
const MAX_KEPT_BYTES = 1_048_576;

/**
 * Standard output, each line written before the call returns: what is left over for the end of the process is
 * written by pino until somebody takes it, and a process whose reader is gone would never end.
 */
function standardOutput(): DestinationStream {
  const output = pino.destination({ dest: 1, sync: true, maxLength: MAX_KEPT_BYTES });
  // There is nowhere left to tell it, and no reason to stop serving.
  output.on('error', () => undefined);
  return output;
}

/**
 * One JSON object per line on standard output. Called through Nest's `Logger`:
 * `logger.log('quota reopened', { provider, epoch })`, the event first, then its fields.
 */
export class JsonLogger implements LoggerService {
  private readonly pino: Pino;

  constructor({ app, level }: { app: string; level: Level }) {
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
    this.write('debug', event, rest);
  }

  /** Nest appends the context as the last string; a stack, if any, comes before it. */
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
