import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { ManagedAccount, Usage } from '#contracts';
import { api, type UsageQuery } from '../../api/client.js';
import { session } from '../../api/session.js';
import { gatewayTime } from '../../clock.js';
import { day, money, number } from '../../i18n/format.js';
import { t } from '../../i18n/i18n.js';
import { Link, location, navigate } from '../../router.js';
import { Field } from '../../ui/field.js';
import { Empty, Failure, Loading } from '../../ui/states.js';
import { UsageFigures } from '../../ui/usage-figures.js';
import { useLoaded } from '../../ui/use-loaded.js';
import { dayAfter, type Grouping } from './bars.js';
import { UsageChart } from './usage-chart.js';

const GROUPINGS: readonly Grouping[] = ['day', 'provider', 'channel'];
/** Earlier dates come up while a visitor types a year. */
const FIRST_DAY = '1970-01-01';

/** What the address asks for. */
interface View {
  by: Grouping;
  /** Days; empty: the start of this month, and now. */
  from: string;
  through: string;
  /** Id, `all`, or empty for the visitor's own. */
  account: string;
}

export function UsagePage(): JSX.Element {
  const view = viewOf(location.value.query);
  const query = queryOf(view);
  const { loaded, reload } = useLoaded(() => api.usage(query), JSON.stringify(query));
  return (
    <>
      <Choices view={view} />
      {loaded.state === 'loading' && <Loading />}
      {loaded.state === 'failed' && <Failure error={loaded.error} onRetry={reload} />}
      {loaded.state === 'loaded' && <Report usage={loaded.value} view={view} />}
    </>
  );
}

function viewOf(query: URLSearchParams): View {
  const by = GROUPINGS.find((known) => known === query.get('by')) ?? 'day';
  const account = session.value?.role === 'admin' ? (query.get('account') ?? '') : '';
  return { by, from: dayOf(query.get('from')), through: dayOf(query.get('through')), account };
}

function queryOf({ by, from, through, account }: View): UsageQuery {
  return {
    by,
    ...(from !== '' && { from }),
    ...(through !== '' && { to: dayAfter(through) }),
    ...(account !== '' && { account }),
  };
}

/** Empty if the address has no such day. */
function dayOf(text: string | null): string {
  return text !== null && /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)) ? text : '';
}

function Choices({ view }: { view: View }): JSX.Element {
  const choose = (change: Partial<View>): void => {
    const chosen = Object.entries({ ...view, ...change }).filter(([, value]) => value !== '');
    navigate(`/usage?${new URLSearchParams(chosen).toString()}`, { replace: true });
  };
  const chooseDay = (name: 'from' | 'through', value: string): void => {
    if (value === '' || value >= FIRST_DAY) choose({ [name]: value });
  };
  const today = new Date(gatewayTime()).toISOString().slice(0, 10);
  const from = view.from || `${today.slice(0, 8)}01`;
  const through = view.through || today;
  return (
    <div class="filters">
      <Field label={t('usage.by')}>
        {(ids) => (
          <select
            {...ids}
            value={view.by}
            onChange={({ currentTarget }) => choose({ by: currentTarget.value as Grouping })}
          >
            {GROUPINGS.map((by) => (
              <option key={by} value={by}>
                {t(`usage.by.${by}`)}
              </option>
            ))}
          </select>
        )}
      </Field>
      <Field label={t('usage.from')}>
        {(ids) => (
          <input
            {...ids}
            type="date"
            value={from}
            max={through}
            onChange={({ currentTarget }) => chooseDay('from', currentTarget.value)}
          />
        )}
      </Field>
      <Field label={t('usage.through')}>
        {(ids) => (
          <input
            {...ids}
            type="date"
            value={through}
            min={from}
            onChange={({ currentTarget }) => chooseDay('through', currentTarget.value)}
          />
        )}
      </Field>
      {session.value?.role === 'admin' && (
        <AccountChoice chosen={view.account} onChoose={(account) => choose({ account })} />
      )}
      <Download view={view} />
    </div>
  );
}

/** Only for admins. The page Accounts links to the usage of accounts that are not on the list. */
function AccountChoice({ chosen, onChoose }: { chosen: string; onChoose: (account: string) => void }): JSX.Element {
  const { loaded } = useLoaded(() => api.accounts(), '');
  const accounts: Pick<ManagedAccount, 'id' | 'email'>[] = loaded.state === 'loaded' ? [...loaded.value.items] : [];
  const isListed = chosen === '' || chosen === 'all' || accounts.some(({ id }) => id === chosen);
  if (!isListed) accounts.unshift({ id: chosen, email: chosen });
  return (
    <Field label={t('usage.account')}>
      {(ids) => (
        <select {...ids} value={chosen} onChange={({ currentTarget }) => onChoose(currentTarget.value)}>
          <option value="">{t('usage.own')}</option>
          <option value="all">{t('usage.allAccounts')}</option>
          {accounts.map(({ id, email }) => (
            <option key={id} value={id}>
              {email}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

/** Not a link: the gateway answers CSV to a request with a header, and with a token that is renewed first. */
function Download({ view }: { view: View }): JSX.Element {
  const [state, setState] = useState<'idle' | 'busy' | { error: unknown }>('idle');
  const download = async (): Promise<void> => {
    setState('busy');
    try {
      save(await api.usageCsv(queryOf(view)), `octo-usage-by-${view.by}.csv`);
      setState('idle');
    } catch (error) {
      setState({ error });
    }
  };
  return (
    <>
      <button type="button" class="button" disabled={state === 'busy'} onClick={() => void download()}>
        {t(state === 'busy' ? 'loading' : 'usage.csv')}
      </button>
      {typeof state === 'object' && <Failure error={state.error} />}
    </>
  );
}

function save(csv: string, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([csv], { type: 'text/csv' }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

function Report({ usage, view }: { usage: Usage; view: View }): JSX.Element {
  const { series = [] } = usage;
  if (series.length === 0) {
    return (
      <Empty icon="inbox" title={t('usage.none')}>
        <p class="quiet">{t('usage.noneHint')}</p>
        {view.account === '' && <Link to="/send">{t('figures.sendOne')}</Link>}
      </Empty>
    );
  }
  return (
    <>
      <section aria-label={t('usage.total')}>
        <UsageFigures usage={usage} />
        <p class="quiet">
          {t('figures.savedHint')} {t('usage.dayHint')}
        </p>
      </section>
      <section class="card" aria-labelledby="usage-chart-title">
        <h2 id="usage-chart-title">{t('usage.chart')}</h2>
        {/* A chart for each grouping: its axis has other labels. */}
        <UsageChart key={view.by} series={series} by={view.by} />
      </section>
      <Table usage={usage} series={series} by={view.by} />
    </>
  );
}

function Table({
  usage,
  series,
  by,
}: {
  usage: Usage;
  series: NonNullable<Usage['series']>;
  by: Grouping;
}): JSX.Element {
  const { currency } = usage;
  return (
    <div class="table-box">
      <table class="stacked figures-table">
        <thead>
          <tr>
            <th scope="col">{t(`usage.by.${by}`)}</th>
            {COLUMNS.map(([name]) => (
              <th key={name} scope="col" class="number">
                {t(name)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {series.map((row) => (
            <tr key={row[by]}>
              <th scope="row">{by === 'day' ? day(row.day ?? '') : row[by]}</th>
              <Cells sums={row} currency={currency} />
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row">{t('usage.total')}</th>
            <Cells sums={usage} currency={currency} />
          </tr>
        </tfoot>
      </table>
    </div>
  );
}

type Sums = Pick<Usage, 'free' | 'paid' | 'savedMicros'>;

const COLUMNS = [
  ['figures.free', ({ free }: Sums) => number(free.count)],
  ['figures.paid', ({ paid }: Sums) => number(paid.count)],
  ['figures.spent', ({ paid }: Sums, currency: string) => money(paid.costMicros, currency)],
  ['figures.saved', ({ savedMicros }: Sums, currency: string) => money(savedMicros, currency)],
] as const;

function Cells({ sums, currency }: { sums: Sums; currency: string }): JSX.Element {
  return (
    <>
      {COLUMNS.map(([name, textOf]) => (
        <td key={name} data-label={t(name)} class="number">
          {textOf(sums, currency)}
        </td>
      ))}
    </>
  );
}
