import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { AccountPatch, ManagedAccount } from '#contracts';
import { api } from '../api/client.js';
import { session } from '../api/session.js';
import { t } from '../i18n/i18n.js';
import { Link } from '../router.js';
import { AccountLimits } from './account-limits.js';
import { Failure, Loading } from '../ui/states.js';
import { Time } from '../ui/time.js';
import { useAdminChange } from '../ui/use-admin-change.js';
import { useLoaded } from '../ui/use-loaded.js';

/** Who may pay and log in, and within which limits. Only for admins. */
export function AccountsPage(): JSX.Element {
  const { loaded, reload, replace } = useLoaded(() => api.accounts(), '');
  const { start, error, dialog } = useAdminChange();
  const [limiting, setLimiting] = useState<ManagedAccount>();
  const [moreFailed, setMoreFailed] = useState<unknown>();

  const change = (account: ManagedAccount, patch: AccountPatch): void =>
    start({
      name: account.email,
      // Losing access ends sessions at once: ask first.
      ...(patch.disabled === true && {
        question: {
          title: t('accounts.disableTitle'),
          text: t('accounts.disableText', { email: account.email }),
          confirm: t('accounts.disable'),
        },
      }),
      apply: async (currentPassword) => {
        const body = { ...patch, ...(currentPassword && { currentPassword }) };
        const changed = await api.changeAccount(account.id, body);
        replace((list) => ({ ...list, items: list.items.map((item) => (item.id === changed.id ? changed : item)) }));
      },
    });

  const loadMore = async (cursor: string): Promise<void> => {
    setMoreFailed(undefined);
    try {
      const next = await api.accounts(cursor);
      replace(({ items }) => ({ items: [...items, ...next.items], nextCursor: next.nextCursor }));
    } catch (failure) {
      setMoreFailed(failure);
    }
  };

  if (loaded.state === 'loading') return <Loading />;
  if (loaded.state === 'failed') return <Failure error={loaded.error} onRetry={reload} />;
  const { items, nextCursor } = loaded.value;
  const failure = error ?? moreFailed;
  return (
    <>
      <p class="quiet">{t('accounts.text')}</p>
      {failure !== undefined && <Failure error={failure} />}
      <Table items={items} onChange={change} onLimit={setLimiting} />
      {nextCursor !== null && (
        <button type="button" class="button" onClick={() => void loadMore(nextCursor)}>
          {t('messages.more')}
        </button>
      )}
      {limiting && (
        <AccountLimits
          account={limiting}
          onClose={() => setLimiting(undefined)}
          onSave={(limits) => {
            setLimiting(undefined);
            change(limiting, limits);
          }}
        />
      )}
      {dialog}
    </>
  );
}

interface Actions {
  onChange: (account: ManagedAccount, patch: AccountPatch) => void;
  onLimit: (account: ManagedAccount) => void;
}

function Table({ items, ...actions }: { items: readonly ManagedAccount[] } & Actions): JSX.Element {
  return (
    <div class="table-box">
      <table class="stacked">
        <thead>
          <tr>
            <th scope="col">{t('accounts.email')}</th>
            <th scope="col">{t('accounts.role')}</th>
            <th scope="col">{t('accounts.paidAccess')}</th>
            <th scope="col">{t('accounts.enabled')}</th>
            <th scope="col">{t('limits.column')}</th>
            <th scope="col">{t('messages.created')}</th>
          </tr>
        </thead>
        <tbody>
          {items.map((account) => (
            <Row key={account.id} account={account} {...actions} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ account, onChange, onLimit }: { account: ManagedAccount } & Actions): JSX.Element {
  const { email, role, paidAccess, disabled, createdAt, id } = account;
  const isOwn = id === session.value?.id;
  const change = t(isUnlimited(account) ? 'limits.set' : 'limits.change');
  return (
    <tr>
      <td data-label={t('accounts.email')}>
        <span>
          {email}{' '}
          <Link to={`/usage?account=${id}`} aria-label={t('usage.of', { email })}>
            {t('usage.title')}
          </Link>
        </span>
      </td>
      <td data-label={t('accounts.role')}>{t(role === 'admin' ? 'role.admin' : 'role.user')}</td>
      <td data-label={t('accounts.paidAccess')}>
        <Switch
          label={t('accounts.paidAccessOf', { email })}
          isOn={paidAccess}
          onToggle={() => onChange(account, { paidAccess: !paidAccess })}
        />
      </td>
      <td data-label={t('accounts.enabled')}>
        <Switch
          label={t('accounts.enabledOf', { email })}
          isOn={!disabled}
          isLocked={isOwn}
          onToggle={() => onChange(account, { disabled: !disabled })}
        />
      </td>
      <td data-label={t('limits.column')}>
        <button
          type="button"
          class="button"
          aria-label={`${change}: ${t('limits.title', { email })}`}
          onClick={() => onLimit(account)}
        >
          {change}
        </button>
      </td>
      <td data-label={t('messages.created')}>
        <Time at={createdAt} />
      </td>
    </tr>
  );
}

interface SwitchProps {
  label: string;
  isOn: boolean;
  isLocked?: boolean;
  onToggle: () => void;
}

function Switch({ label, isOn, isLocked = false, onToggle }: SwitchProps): JSX.Element {
  return (
    <button
      type="button"
      role="switch"
      class="switch"
      aria-checked={isOn}
      aria-label={label}
      disabled={isLocked}
      onClick={onToggle}
    >
      <span class="switch-knob" />
      <span>{t(isOn ? 'yes' : 'no')}</span>
    </button>
  );
}

function isUnlimited({ budget, freeShare, priority }: ManagedAccount): boolean {
  const hasNoBudget = budget.dayMicros === null && budget.monthMicros === null;
  return hasNoBudget && freeShare === 'all' && priority === 'normal';
}
