import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { AccountPatch, ManagedAccount } from '#contracts';
import { api } from '../api/client.js';
import { ApiError } from '../api/problem.js';
import { session } from '../api/session.js';
import { t } from '../i18n/i18n.js';
import { Link } from '../router.js';
import { Dialog } from '../ui/dialog.js';
import { Field } from '../ui/field.js';
import { formText } from '../ui/form-text.js';
import { Failure, Loading } from '../ui/states.js';
import { Time } from '../ui/time.js';
import { useLoaded } from '../ui/use-loaded.js';

interface Change {
  account: ManagedAccount;
  patch: AccountPatch;
}

/** Who may pay, and who may log in. Only for admins. */
export function AccountsPage(): JSX.Element {
  const { loaded, reload, replace } = useLoaded(() => api.accounts(), '');
  const [asking, setAsking] = useState<Change & { needsPassword: boolean }>();
  const [error, setError] = useState<unknown>();

  const change = async ({ account, patch }: Change): Promise<void> => {
    setError(undefined);
    try {
      const changed = await api.changeAccount(account.id, patch);
      replace((list) => ({ ...list, items: list.items.map((item) => (item.id === changed.id ? changed : item)) }));
      setAsking(undefined);
    } catch (failure) {
      const needsPassword = failure instanceof ApiError && failure.code === 'reauthentication_required';
      if (needsPassword) setAsking({ account, patch, needsPassword });
      else setError(failure);
    }
  };

  const loadMore = async (cursor: string): Promise<void> => {
    try {
      const next = await api.accounts(cursor);
      replace(({ items }) => ({ items: [...items, ...next.items], nextCursor: next.nextCursor }));
    } catch (failure) {
      setError(failure);
    }
  };

  if (loaded.state === 'loading') return <Loading />;
  if (loaded.state === 'failed') return <Failure error={loaded.error} onRetry={reload} />;
  const { items, nextCursor } = loaded.value;
  return (
    <>
      <p class="quiet">{t('accounts.text')}</p>
      {error !== undefined && asking === undefined && <Failure error={error} />}
      <Table
        items={items}
        onChange={(wanted) =>
          // Losing access ends sessions at once: ask first.
          wanted.patch.disabled === true ? setAsking({ ...wanted, needsPassword: false }) : void change(wanted)
        }
      />
      {nextCursor !== null && (
        <button type="button" class="button" onClick={() => void loadMore(nextCursor)}>
          {t('messages.more')}
        </button>
      )}
      {asking && (
        <Confirmation
          asking={asking}
          error={error}
          onClose={() => setAsking(undefined)}
          onConfirm={(currentPassword) =>
            void change({ ...asking, patch: { ...asking.patch, ...(currentPassword && { currentPassword }) } })
          }
        />
      )}
    </>
  );
}

function Table({
  items,
  onChange,
}: {
  items: readonly ManagedAccount[];
  onChange: (change: Change) => void;
}): JSX.Element {
  return (
    <div class="table-box">
      <table class="stacked">
        <thead>
          <tr>
            <th scope="col">{t('accounts.email')}</th>
            <th scope="col">{t('accounts.role')}</th>
            <th scope="col">{t('accounts.paidAccess')}</th>
            <th scope="col">{t('accounts.enabled')}</th>
            <th scope="col">{t('messages.created')}</th>
          </tr>
        </thead>
        <tbody>
          {items.map((account) => (
            <Row key={account.id} account={account} onChange={onChange} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ account, onChange }: { account: ManagedAccount; onChange: (change: Change) => void }): JSX.Element {
  const { email, role, paidAccess, disabled, createdAt, id } = account;
  const isOwn = id === session.value?.id;
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
          onToggle={() => onChange({ account, patch: { paidAccess: !paidAccess } })}
        />
      </td>
      <td data-label={t('accounts.enabled')}>
        <Switch
          label={t('accounts.enabledOf', { email })}
          isOn={!disabled}
          isLocked={isOwn}
          onToggle={() => onChange({ account, patch: { disabled: !disabled } })}
        />
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

interface ConfirmationProps {
  asking: Change & { needsPassword: boolean };
  error: unknown;
  onClose: () => void;
  onConfirm: (currentPassword: string | undefined) => void;
}

function Confirmation({ asking, error, onClose, onConfirm }: ConfirmationProps): JSX.Element {
  const { account, patch, needsPassword } = asking;
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    if (!(event.currentTarget instanceof HTMLFormElement)) return;
    onConfirm(formText(event.currentTarget, 'password') || undefined);
  };
  return (
    <Dialog title={t(patch.disabled === true ? 'accounts.disableTitle' : 'accounts.confirmTitle')} onClose={onClose}>
      <form onSubmit={submit}>
        <p>{t(patch.disabled === true ? 'accounts.disableText' : 'accounts.confirmText', { email: account.email })}</p>
        {error !== undefined && <Failure error={error} />}
        {needsPassword && (
          <Field label={t('accounts.password')}>
            {(ids) => <input {...ids} name="password" type="password" autocomplete="current-password" required />}
          </Field>
        )}
        <div class="actions">
          <button type="button" class="button" onClick={onClose}>
            {t('accounts.no')}
          </button>
          <button type="submit" class="button danger">
            {t(patch.disabled === true ? 'accounts.disable' : 'accounts.confirm')}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
