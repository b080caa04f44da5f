import { effect, signal } from '@preact/signals';
import type { ConsoleEvent } from '#contracts';
import { setClock } from '../clock.js';
import { ensureToken, session } from './session.js';
import { type Counts, TotalsDifference } from './totals.js';

/** How much of the past the chart shows. */
export const HISTORY_SECONDS = 120;
const RETRY_MS = 2_000;
/** A stream ends now and then, for example with its token: the first retry comes at once. */
const FIRST_RETRY_MS = 100;

export interface Second extends Counts {
  /** Unix time in milliseconds. */
  atMs: number;
  /** Since the event before. */
  seconds: number;
}

export const latest = signal<ConsoleEvent | undefined>();
export const connection = signal<'connecting' | 'live' | 'lost'>('connecting');
export const history = signal<readonly Second[]>([]);

let source: EventSource | undefined;
let retry: ReturnType<typeof setTimeout> | undefined;
/** In a row. */
let failures = 0;
let difference = new TotalsDifference(Date.now());

/** One stream for the tab, while it is visible: browsers allow six connections to an origin, for all its tabs. */
export function followGateway(): void {
  document.addEventListener('visibilitychange', update);
  effect(() => {
    if (session.value === undefined) reset();
    update();
  });
}

function update(): void {
  const isWanted = session.peek() !== undefined && document.visibilityState === 'visible';
  if (!isWanted) return close();
  if (source === undefined) void open();
}

async function open(): Promise<void> {
  clearTimeout(retry);
  if (!(await ensureToken())) return failed();
  if (source !== undefined || session.peek() === undefined) return;
  source = new EventSource('/console/events');
  source.addEventListener('message', ({ data }) => receive(JSON.parse(String(data)) as ConsoleEvent));
  // Not left to the browser: it gives up after a refusal, and a refused token can be renewed.
  source.addEventListener('error', failed);
}

function failed(): void {
  close();
  if (session.peek() === undefined) return;
  failures += 1;
  if (failures > 1) connection.value = 'lost';
  retry = setTimeout(update, failures > 1 ? RETRY_MS : FIRST_RETRY_MS);
}

function close(): void {
  clearTimeout(retry);
  source?.close();
  source = undefined;
}

function reset(): void {
  latest.value = undefined;
  connection.value = 'connecting';
  history.value = [];
  difference = new TotalsDifference(Date.now());
}

function receive(event: ConsoleEvent): void {
  const atMs = Date.parse(event.at);
  setClock(atMs);
  const beforeMs = latest.peek() === undefined ? atMs - 1_000 : Date.parse(latest.peek()?.at ?? event.at);
  const counts = difference.next(event);
  const seconds = Math.max(0.5, (atMs - beforeMs) / 1_000);
  history.value = [...history.peek(), { atMs, seconds, ...counts }].filter(
    (second) => second.atMs > atMs - HISTORY_SECONDS * 1_000,
  );
  failures = 0;
  latest.value = event;
  connection.value = 'live';
}
