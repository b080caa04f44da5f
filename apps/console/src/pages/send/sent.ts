import { signal } from '@preact/signals';
import type { DeliveredMessage, WaitingMessage } from '#contracts';
import { api, type OutgoingMessage } from '../../api/client.js';
import { ApiError } from '../../api/problem.js';
import { hasEnded, type Progress } from '../../api/watch-message.js';

/** Most messages that the page lists. */
const KEPT = 200;

export type SentState = 'sending' | 'free' | 'paid' | 'waiting' | 'refused' | 'failed';

/** A message that was sent from this page. */
export interface Sent {
  number: number;
  state: SentState;
  id: string | undefined;
  /** Provider account. */
  account: string | undefined;
  costMicros: number;
  error: unknown;
}

export const sent = signal<readonly Sent[]>([]);
export const selected = signal<number | undefined>();

const REFUSED = new Set([402, 403, 429, 503]);

/** Sends a message. @returns whether the next one may follow: the API took this one, or refused it for its quota */
export async function sendOne(message: OutgoingMessage, options: { inBackground: boolean }): Promise<unknown> {
  const number = (sent.peek()[0]?.number ?? 0) + 1;
  const begun: Sent = { number, state: 'sending', id: undefined, account: undefined, costMicros: 0, error: undefined };
  sent.value = [begun, ...sent.peek()].slice(0, KEPT);
  selected.value = number;
  try {
    update(number, afterAnswer(await api.send(message, options)));
    return undefined;
  } catch (error) {
    const status = error instanceof ApiError ? error.status : 0;
    const id = error instanceof ApiError ? error.problem.id : undefined;
    update(number, { state: REFUSED.has(status) ? 'refused' : 'failed', error, id });
    return error;
  }
}

function afterAnswer(answer: DeliveredMessage | WaitingMessage): Partial<Sent> {
  const { id } = answer;
  if (answer.status === 'waiting') return { id, state: 'waiting' };
  const { account, provider, costMicros } = answer;
  return { id, state: costMicros > 0 ? 'paid' : 'free', account: account ?? provider, costMicros };
}

/** A waiting message has ended while the page was open. */
export function noteProgress({
  id,
  status,
  provider,
  costMicros,
}: Pick<Progress, 'id' | 'status' | 'provider' | 'costMicros'>): void {
  const known = sent.peek().find((one) => one.id === id);
  if (known?.state !== 'waiting' || !hasEnded(status)) return;
  const isDelivered = status === 'delivered';
  const state = isDelivered ? (costMicros > 0 ? 'paid' : 'free') : 'failed';
  update(known.number, { state, account: provider ?? undefined, costMicros });
}

function update(number: number, change: Partial<Sent>): void {
  sent.value = sent.peek().map((one) => (one.number === number ? Object.assign({}, one, change) : one));
}

export function clearSent(): void {
  sent.value = [];
  selected.value = undefined;
}
