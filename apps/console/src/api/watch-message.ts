import type { MessageRecord } from '#contracts';
import { ensureToken } from './session.js';

export type Progress = Pick<MessageRecord, 'id' | 'status' | 'provider' | 'reason' | 'costMicros' | 'hops'>;

const STATUSES = ['waiting', 'sending', 'delivered', 'failed', 'expired', 'cancelled', 'unknown'] as const;

export function hasEnded(status: MessageRecord['status']): boolean {
  return status !== 'waiting' && status !== 'sending';
}

/**
 * Follows a message by its event stream until it has ended.
 * @param onProgress called with the new hops
 * @returns ends the stream
 */
export function watchMessage(id: string, onProgress: (progress: Progress) => void): () => void {
  let source: EventSource | undefined;
  let isClosed = false;
  const open = async (): Promise<void> => {
    if (!(await ensureToken()) || isClosed) return;
    const events = new EventSource(`/messages/${encodeURIComponent(id)}/events`);
    source = events;
    for (const status of STATUSES) {
      events.addEventListener(status, ({ data }) => {
        const progress = JSON.parse(String(data)) as Progress;
        if (hasEnded(progress.status)) events.close();
        onProgress(progress);
      });
    }
  };
  void open();
  return () => {
    isClosed = true;
    source?.close();
  };
}
