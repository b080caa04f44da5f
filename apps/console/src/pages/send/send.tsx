import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { api } from '../../api/client.js';
import { t } from '../../i18n/i18n.js';
import { Link } from '../../router.js';
import { Empty, Failure, Loading } from '../../ui/states.js';
import { Timeline } from '../../ui/timeline.js';
import { useLoaded } from '../../ui/use-loaded.js';
import { useMessage } from '../../ui/use-message.js';
import { Accounts } from '../overview.js';
import { SendForm } from './send-form.js';
import { noteProgress, selected, sent } from './sent.js';
import { Summary } from './summary.js';

export function SendPage(): JSX.Element {
  const { loaded, reload } = useLoaded(api.channels, '');
  return (
    <div class="columns send-page">
      <div class="stack">
        {loaded.state === 'loading' && <Loading />}
        {loaded.state === 'failed' && <Failure error={loaded.error} onRetry={reload} />}
        {loaded.state === 'loaded' && <SendForm channels={loaded.value.items} />}
        <section class="send-quota" aria-labelledby="quota-title">
          <h2 id="quota-title">{t('overview.accounts')}</h2>
          <Accounts />
        </section>
      </div>
      <div class="stack">
        <Summary />
        <Selected />
      </div>
    </div>
  );
}

/** The way of the message that is chosen in the list, hop by hop. */
function Selected(): JSX.Element | null {
  const one = sent.value.find(({ number }) => number === selected.value);
  if (one === undefined || one.state === 'sending') return null;
  return (
    <section class="card" aria-labelledby="way-title">
      <h2 id="way-title">{t('send.way', { count: one.number })}</h2>
      {one.id === undefined ? <p class="quiet">{t('send.noRecord')}</p> : <Way key={one.id} id={one.id} />}
      {one.error !== undefined && <Failure error={one.error} />}
    </section>
  );
}

function Way({ id }: { id: string }): JSX.Element {
  const { loaded, reload } = useMessage(id);
  const record = loaded.state === 'loaded' ? loaded.value : undefined;
  useEffect(() => {
    if (record !== undefined) noteProgress(record);
  }, [record?.status]);
  if (loaded.state === 'loading') return <Loading />;
  if (record === undefined) return <Failure error={loaded.state === 'failed' && loaded.error} onRetry={reload} />;
  if (record.hops.length === 0) return <Empty icon="question" title={t('send.noRecord')} />;
  return (
    <>
      <Timeline hops={record.hops} currency={record.currency} />
      <p>
        <Link to={`/messages/${id}`}>{t('send.open')}</Link>
      </p>
    </>
  );
}
