import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { MessageSummary } from '#contracts';
import { api, type MessageFilter } from '../api/client.js';
import { findMessage } from '../api/find-message.js';
import { latest } from '../api/live.js';
import { money } from '../i18n/format.js';
import { t, textOfCode } from '../i18n/i18n.js';
import { Link, location, navigate } from '../router.js';
import { StatusBadge } from '../ui/badge.js';
import { Field } from '../ui/field.js';
import { formText } from '../ui/form-text.js';
import { Empty, Failure, Loading } from '../ui/states.js';
import { Time } from '../ui/time.js';
import { useLoaded } from '../ui/use-loaded.js';

const STATUSES = ['waiting', 'sending', 'delivered', 'failed', 'expired', 'cancelled', 'unknown'];
const FILTERS = ['status', 'provider', 'channel'] as const;

export function MessagesPage(): JSX.Element {
  const filter = filterOf(location.value.query);
  const key = JSON.stringify(filter);
  const { loaded, reload, replace } = useLoaded(() => api.messages(filter), key);
  const [more, setMore] = useState<{ isBusy: boolean; error?: unknown }>({ isBusy: false });

  useEffect(() => setMore({ isBusy: false }), [key]);

  const loadMore = async (cursor: string): Promise<void> => {
    setMore({ isBusy: true });
    try {
      const next = await api.messages({ ...filter, cursor });
      replace(({ items }) => ({ items: [...items, ...next.items], nextCursor: next.nextCursor }));
      setMore({ isBusy: false });
    } catch (error) {
      setMore({ isBusy: false, error });
    }
  };

  return (
    <>
      <Search />
      <Filters filter={filter} onReload={reload} />
      {loaded.state === 'loading' && <Loading />}
      {loaded.state === 'failed' && <Failure error={loaded.error} onRetry={reload} />}
      {loaded.state === 'loaded' && <List items={loaded.value.items} isFiltered={key !== '{}'} />}
      {more.error !== undefined && <Failure error={more.error} />}
      {loaded.state === 'loaded' && loaded.value.nextCursor !== null && (
        <button
          type="button"
          class="button"
          disabled={more.isBusy}
          onClick={() => void loadMore(loaded.value.nextCursor ?? '')}
        >
          {t(more.isBusy ? 'loading' : 'messages.more')}
        </button>
      )}
    </>
  );
}

function filterOf(query: URLSearchParams): MessageFilter {
  const given = FILTERS.flatMap((name) => {
    const value = query.get(name);
    return value ? [[name, value]] : [];
  });
  return Object.fromEntries(given) as MessageFilter;
}

function Search(): JSX.Element {
  const [state, setState] = useState<'idle' | 'busy' | 'nothing' | { error: unknown }>('idle');
  const find = async (text: string): Promise<void> => {
    setState('busy');
    try {
      const path = await findMessage(text);
      setState(path === undefined ? 'nothing' : 'idle');
      // The visitor may have gone to another page meanwhile.
      if (path !== undefined && location.peek().path === '/messages') navigate(path);
    } catch (error) {
      setState({ error });
    }
  };
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    if (!(event.currentTarget instanceof HTMLFormElement)) return;
    const text = formText(event.currentTarget, 'text').trim();
    if (text !== '' && state !== 'busy') void find(text);
  };
  return (
    <>
      <form class="search" role="search" onSubmit={submit}>
        <Field label={t('messages.search')}>
          {(ids) => <input {...ids} name="text" type="search" autocomplete="off" spellcheck={false} required />}
        </Field>
        <button type="submit" class="button">
          {t(state === 'busy' ? 'loading' : 'messages.find')}
        </button>
      </form>
      {state === 'nothing' && (
        <p class="notice tone-bad" role="alert">
          {t('messages.nothingFound')}
        </p>
      )}
      {typeof state === 'object' && <Failure error={state.error} />}
    </>
  );
}

function Filters({ filter, onReload }: { filter: MessageFilter; onReload: () => void }): JSX.Element {
  const providers = [...new Set(latest.value?.quota.providers.map(({ name }) => name) ?? [])];
  const { loaded } = useLoaded(api.channels, '');
  const channels = loaded.state === 'loaded' ? loaded.value.items.map(({ name }) => name) : [];
  return (
    <div class="filters">
      <Choice
        name="status"
        filter={filter}
        options={STATUSES}
        textOf={(value) => textOfCode('status', value) ?? value}
      />
      <Choice name="provider" filter={filter} options={providers} textOf={(value) => value} />
      {channels.length > 1 && <Choice name="channel" filter={filter} options={channels} textOf={(value) => value} />}
      <button type="button" class="button" onClick={onReload}>
        {t('messages.reload')}
      </button>
    </div>
  );
}

interface ChoiceProps {
  name: (typeof FILTERS)[number];
  filter: MessageFilter;
  options: readonly string[];
  textOf: (value: string) => string;
}

function Choice({ name, filter, options, textOf }: ChoiceProps): JSX.Element {
  const chosen = filter[name] ?? '';
  // A link may name a provider that the file does not have any more.
  const all = chosen === '' || options.includes(chosen) ? options : [chosen, ...options];
  const choose = (value: string): void => {
    const query = new URLSearchParams({ ...filter, [name]: value });
    if (value === '') query.delete(name);
    navigate(query.size === 0 ? '/messages' : `/messages?${query.toString()}`, { replace: true });
  };
  return (
    <Field label={t(`messages.${name}`)}>
      {(ids) => (
        <select {...ids} value={chosen} onChange={(event) => choose(event.currentTarget.value)}>
          <option value="">{t('messages.all')}</option>
          {all.map((value) => (
            <option key={value} value={value}>
              {textOf(value)}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

function List({ items, isFiltered }: { items: readonly MessageSummary[]; isFiltered: boolean }): JSX.Element {
  if (items.length === 0) {
    return (
      <Empty icon="inbox" title={t(isFiltered ? 'messages.noneMatch' : 'messages.none')}>
        {!isFiltered && <Link to="/send">{t('messages.sendFirst')}</Link>}
      </Empty>
    );
  }
  return (
    <div class="table-box">
      <table class="stacked">
        <thead>
          <tr>
            <th scope="col">{t('messages.message')}</th>
            <th scope="col">{t('messages.status')}</th>
            <th scope="col">{t('messages.provider')}</th>
            <th scope="col" class="number">
              {t('messages.cost')}
            </th>
            <th scope="col">{t('messages.created')}</th>
          </tr>
        </thead>
        <tbody>
          {items.map((item) => (
            <Row key={item.id} item={item} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ item }: { item: MessageSummary }): JSX.Element {
  const { id, status, provider, account, costMicros, currency, createdAt } = item;
  return (
    <tr>
      <td data-label={t('messages.message')}>
        <Link to={`/messages/${id}`} title={id}>
          <code>{shortId(id)}</code>
        </Link>
      </td>
      <td data-label={t('messages.status')}>
        <StatusBadge status={status} costMicros={costMicros} />
      </td>
      <td data-label={t('messages.provider')}>{account ?? provider ?? '–'}</td>
      <td data-label={t('messages.cost')} class="number">
        {money(costMicros, currency)}
      </td>
      <td data-label={t('messages.created')}>
        <Time at={createdAt} />
      </td>
    </tr>
  );
}

/** Ids begin with their time: the end tells neighbours apart. */
export function shortId(id: string): string {
  return `…${id.slice(-12)}`;
}
