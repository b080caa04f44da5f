import type { ComponentChildren, JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { MessageRecord } from '#contracts';
import { api } from '../api/client.js';
import { TRACE_ID } from '../api/find-message.js';
import { ApiError } from '../api/problem.js';
import { duration, money } from '../i18n/format.js';
import { t, textOfCode } from '../i18n/i18n.js';
import { Link } from '../router.js';
import { StatusBadge } from '../ui/badge.js';
import { Dialog } from '../ui/dialog.js';
import { Empty, Failure, Loading } from '../ui/states.js';
import { Countdown, Time } from '../ui/time.js';
import { Timeline } from '../ui/timeline.js';
import { useMessage } from '../ui/use-message.js';

export function MessagePage({ id }: { id: string }): JSX.Element {
  const { loaded, reload } = useMessage(id);
  return (
    <>
      <p class="links">
        <Link to="/messages">{t('message.back')}</Link>
        {loaded.state === 'loaded' && TRACE_ID.test(loaded.value.traceId) && (
          <Link to={`/traces/${loaded.value.traceId}`}>{t('message.wholeTrace')}</Link>
        )}
      </p>
      {loaded.state === 'loading' && <Loading />}
      {loaded.state === 'failed' && <NotShown error={loaded.error} onRetry={reload} />}
      {loaded.state === 'loaded' && <Content record={loaded.value} onChanged={reload} />}
    </>
  );
}

function NotShown({ error, onRetry }: { error: unknown; onRetry: () => void }): JSX.Element {
  if (!(error instanceof ApiError) || error.status !== 404) return <Failure error={error} onRetry={onRetry} />;
  return (
    <Empty icon="question" title={t('message.notFound')}>
      <p class="quiet">{t('message.notFoundHint')}</p>
    </Empty>
  );
}

function Content({ record, onChanged }: { record: MessageRecord; onChanged: () => void }): JSX.Element {
  const { id, status, costMicros, currency, hops, message, response, reason, detail } = record;
  return (
    <>
      <div class="message-head">
        <StatusBadge status={status} costMicros={costMicros} />
        <code class="id">{id}</code>
        {status === 'waiting' && <Cancel id={id} onCancelled={onChanged} />}
      </div>
      {reason !== null && (
        <p class="notice tone-bad">
          {textOfCode('problem', reason) ?? reason}
          {reason === 'message_rejected' && detail !== null && ` ${detail}`}
        </p>
      )}
      <div class="columns">
        <section class="card" aria-labelledby="timeline-title">
          <h2 id="timeline-title">{t('message.timeline')}</h2>
          <Timeline hops={hops} currency={currency} />
        </section>
        <div class="stack">
          <Facts record={record} />
          <Text title={t('message.content')} value={message} />
          {response !== null && <Text title={t('message.response')} value={response} />}
        </div>
      </div>
    </>
  );
}

function Facts({ record }: { record: MessageRecord }): JSX.Element {
  const { channel, provider, account, costMicros, currency, createdAt, finishedAt, deliverBy, expectedAt } = record;
  const { mayPay, attempts, status, idempotencyKey, requestId, traceId, callbackUrl } = record;
  const tookMs = finishedAt === null ? undefined : Date.parse(finishedAt) - Date.parse(createdAt);
  return (
    <section class="card" aria-labelledby="facts-title">
      <h2 id="facts-title">{t('message.facts')}</h2>
      <dl class="facts">
        <Fact name={t('messages.channel')}>{channel}</Fact>
        <Fact name={t('messages.provider')}>{account ?? provider ?? '–'}</Fact>
        <Fact name={t('messages.cost')}>{money(costMicros, currency)}</Fact>
        <Fact name={t('message.mayPay')}>{t(mayPay ? 'yes' : 'no')}</Fact>
        <Fact name={t('message.attempts')}>{attempts.length}</Fact>
        <Fact name={t('messages.created')}>
          <Time at={createdAt} />
        </Fact>
        {tookMs !== undefined && <Fact name={t('message.took')}>{duration(tookMs)}</Fact>}
        {deliverBy !== null && (
          <Fact name={t('message.deliverBy')}>
            <Time at={deliverBy} />
          </Fact>
        )}
        {status === 'waiting' && expectedAt && (
          <Fact name={t('message.expected')}>
            <Countdown to={expectedAt} />
          </Fact>
        )}
        {idempotencyKey !== null && <Fact name={t('message.key')}>{idempotencyKey}</Fact>}
        {callbackUrl !== null && <Fact name={t('message.callback')}>{callbackUrl}</Fact>}
        <Fact name={t('requestId')}>
          <code>{requestId}</code>
        </Fact>
        <Fact name={t('message.trace')}>
          <code>{traceId}</code>
        </Fact>
      </dl>
    </section>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** Text or JSON; null when it was too old to be kept. */
function Text({ title, value }: { title: string; value: unknown }): JSX.Element {
  return (
    <section class="card" aria-label={title}>
      <h2>{title}</h2>
      {value === null ? (
        <p class="quiet">{t('message.gone')}</p>
      ) : (
        <pre tabIndex={0}>{typeof value === 'string' ? value : JSON.stringify(value, null, 2)}</pre>
      )}
    </section>
  );
}

function Cancel({ id, onCancelled }: { id: string; onCancelled: () => void }): JSX.Element {
  const [isAsking, setAsking] = useState(false);
  const [error, setError] = useState<unknown>();
  const cancel = async (): Promise<void> => {
    try {
      await api.cancel(id);
      setAsking(false);
      onCancelled();
    } catch (failure) {
      setError(failure);
    }
  };
  return (
    <>
      <button type="button" class="button danger" onClick={() => setAsking(true)}>
        {t('message.cancel')}
      </button>
      {isAsking && (
        <Dialog title={t('message.cancelTitle')} onClose={() => setAsking(false)}>
          <p>{t('message.cancelText')}</p>
          {error !== undefined && <Failure error={error} />}
          <div class="actions">
            <button type="button" class="button" onClick={() => setAsking(false)}>
              {t('message.keep')}
            </button>
            <button type="button" class="button danger" onClick={() => void cancel()}>
              {t('message.cancel')}
            </button>
          </div>
        </Dialog>
      )}
    </>
  );
}
