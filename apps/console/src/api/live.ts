import { effect, signal } from '@preact/signals';
import type { ConsoleEvent } from '#contracts';
import { ensureToken, session } from './session.js';
import { add, type Counts, NO_COUNTS, TotalsDifference } from './totals.js';

/** How much of the past the chart shows. */
export const HISTORY_SECONDS = 180;
const RETRY_MS = 2_000;

export interface Second extends Counts {
  /** Unix time in milliseconds. */
  atMs: number;
  /** Since the event before. */
  seconds: number;
}

export const latest = signal<ConsoleEvent | undefined>();
export const connection = signal<'connecting' | 'live' | 'lost'>('connecting');
export const history = signal<readonly Second[]>([]);
export const sinceOpened = signal<Counts>(NO_COUNTS);
export const openedAt = new Date();

let source: EventSource | undefined;
let retry: ReturnType<typeof setTimeout> | undefined;
let difference = new TotalsDifference(openedAt.getTime());

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
  if (!(await ensureToken())) return again();
  if (source !== undefined || session.peek() === undefined) return;
  source = new EventSource('/console/events');
  source.addEventListener('message', ({ data }) => receive(JSON.parse(String(data)) as ConsoleEvent));
  // The browser reconnects after a broken connection. After a refusal it gives up.
  source.addEventListener('error', () => {
    connection.value = 'lost';
    close();
    again();
  });
}

function again(): void {
  clearTimeout(retry);
  retry = setTimeout(update, RETRY_MS);
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
  sinceOpened.value = NO_COUNTS;
  difference = new TotalsDifference(Date.now());
}

function receive(event: ConsoleEvent): void {
  const atMs = Date.parse(event.at);
  const beforeMs = latest.peek() === undefined ? atMs - 1_000 : Date.parse(latest.peek()?.at ?? event.at);
  const counts = difference.next(event);
  const seconds = Math.max(0.5, (atMs - beforeMs) / 1_000);
  history.value = [...history.peek(), { atMs, seconds, ...counts }].filter(
    (second) => second.atMs > atMs - HISTORY_SECONDS * 1_000,
  );
  sinceOpened.value = add(sinceOpened.peek(), counts);
  latest.value = event;
  connection.value = 'live';
}
