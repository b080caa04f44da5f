import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { MessageRecord } from '#contracts';
import { api } from '../../api/client.js';
import { TRACE_ID } from '../../api/find-message.js';
import { hasEnded } from '../../api/watch-message.js';
import { now } from '../../clock.js';
import { duration, money } from '../../i18n/format.js';
import { t } from '../../i18n/i18n.js';
import { Link } from '../../router.js';
import { Empty, Failure, Loading } from '../../ui/states.js';
import { TraceTimeline } from '../../ui/timeline.js';
import { useLoaded } from '../../ui/use-loaded.js';
import { Lanes } from './lanes.js';
import { rangeOf } from './spans.js';

const REFRESH_MS = 3_000;

interface Trace {
  /** Oldest first. */
  records: readonly MessageRecord[];
  /** Of earlier messages. */
  nextCursor: string | null;
}

/** The latest messages of a trace, or those before a cursor. */
async function loadTrace(traceId: string, cursor?: string): Promise<Trace> {
  if (!TRACE_ID.test(traceId)) return { records: [], nextCursor: null };
  const { items, nextCursor } = await api.messages({ traceId, ...(cursor !== undefined && { cursor }) });
  const records = await Promise.all(items.map(({ id }) => api.message(id)));
  return { records: records.toReversed(), nextCursor };
}

/** All messages of a trace in one timeline. */
export function TracePage({ id }: { id: string }): JSX.Element {
  const { loaded, reload, replace } = useLoaded(() => loadTrace(id), id);
  const [error, setError] = useState<unknown>();
  const records = loaded.state === 'loaded' ? loaded.value.records : [];
  useRefresh(records, (changed) =>
    replace((trace) => ({ ...trace, records: trace.records.map((record) => changed.get(record.id) ?? record) })),
  );
  const loadEarlier = async (cursor: string): Promise<void> => {
    setError(undefined);
    try {
      const earlier = await loadTrace(id, cursor);
      replace((trace) => ({ ...earlier, records: [...earlier.records, ...trace.records] }));
    } catch (failure) {
      setError(failure);
    }
  };
  return (
    <>
      <p class="links">
        <Link to="/messages">{t('message.back')}</Link>
      </p>
      {loaded.state === 'loading' && <Loading />}
      {loaded.state === 'failed' && <Failure error={loaded.error} onRetry={reload} />}
      {loaded.state === 'loaded' && records.length === 0 && (
        <Empty icon="question" title={t('trace.notFound')}>
          <p class="quiet">{t('message.notFoundHint')}</p>
        </Empty>
      )}
      {loaded.state === 'loaded' && loaded.value.nextCursor !== null && (
        <p>
          <button type="button" class="button" onClick={() => void loadEarlier(loaded.value.nextCursor ?? '')}>
            {t('trace.earlier')}
          </button>
        </p>
      )}
      {error !== undefined && <Failure error={error} />}
      {records.length > 0 && <Content id={id} records={records} />}
    </>
  );
}

/** Asks again for messages that have not ended, while the page is visible. */
function useRefresh(
  records: readonly MessageRecord[],
  onChange: (changed: ReadonlyMap<string, MessageRecord>) => void,
): void {
  const open = records.filter(({ status }) => !hasEnded(status)).map(({ id }) => id);
  useEffect(() => {
    if (open.length === 0) return undefined;
    const refresh = async (): Promise<void> => {
      if (document.visibilityState !== 'visible') return;
      // The last records stay while the gateway does not answer.
      const changed = await Promise.all(open.map((id) => api.message(id))).catch(() => []);
      onChange(new Map(changed.map((record) => [record.id, record])));
    };
    const timer = setInterval(() => void refresh(), REFRESH_MS);
    return () => clearInterval(timer);
  }, [open.join()]);
}

function Content({ id, records }: { id: string; records: readonly MessageRecord[] }): JSX.Element {
  const isOpen = records.some(({ status }) => !hasEnded(status));
  const range = rangeOf(records, isOpen ? now.value : 0);
  const costMicros = records.reduce((sum, record) => sum + record.costMicros, 0);
  const facts = [
    t('trace.count', { count: records.length }),
    money(costMicros, records[0]?.currency ?? 'USD'),
    duration(range.endMs - range.startMs),
  ];
  return (
    <>
      <div class="message-head">
        <code class="id">{id}</code>
        <span class="number">{facts.join(' · ')}</span>
      </div>
      <section class="card" aria-labelledby="lanes-title">
        <h2 id="lanes-title">{t('messages.title')}</h2>
        <Lanes records={records} range={range} />
      </section>
      <section class="card" aria-labelledby="timeline-title">
        <h2 id="timeline-title">{t('message.timeline')}</h2>
        <TraceTimeline records={records} startMs={range.startMs} />
      </section>
    </>
  );
}
