import { useEffect, useState } from 'preact/hooks';
import type { MessageRecord } from '#contracts';
import { api } from '../api/client.js';
import { hasEnded, type Progress, watchMessage } from '../api/watch-message.js';
import { type Loaded, useLoaded } from './use-loaded.js';

/** A message and what happens to it while the page shows it. */
export function useMessage(id: string): { loaded: Loaded<MessageRecord>; reload: () => void } {
  const { loaded, reload, replace } = useLoaded(() => api.message(id), id);
  const [ended, setEnded] = useState(false);
  const isOpen = loaded.state === 'loaded' && !hasEnded(loaded.value.status);
  useEffect(() => {
    if (!isOpen) return undefined;
    return watchMessage(id, (progress) => {
      replace((record) => withProgress(record, progress));
      if (hasEnded(progress.status)) setEnded(true);
    });
  }, [id, isOpen]);
  // The end of a message has more to say than its events: the response, when it was delivered.
  useEffect(() => {
    if (!ended) return;
    setEnded(false);
    api.message(id).then(
      (record) => replace(() => record),
      () => undefined,
    );
  }, [ended]);
  return { loaded, reload };
}

function withProgress(record: MessageRecord, progress: Progress): MessageRecord {
  const seen = record.hops.at(-1)?.seq ?? 0;
  return { ...record, ...progress, hops: [...record.hops, ...progress.hops.filter(({ seq }) => seq > seen)] };
}
