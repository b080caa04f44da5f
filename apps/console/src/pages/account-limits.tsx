import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { AccountPatch, ManagedAccount } from '#contracts';
import { latest } from '../api/live.js';
import { textOfCode, t } from '../i18n/i18n.js';
import { Dialog } from '../ui/dialog.js';
import { Field } from '../ui/field.js';
import { formText } from '../ui/form-text.js';

type Limits = Required<Pick<AccountPatch, 'budget' | 'freeShare' | 'priority'>>;

type ShareKind = 'all' | 'equal' | 'number';

const MICROS = 1_000_000;
const PRIORITIES = ['urgent', 'normal', 'bulk'] as const;

interface Props {
  account: ManagedAccount;
  onClose: () => void;
  onSave: (limits: Limits) => void;
}

/** What an account may spend, how much free quota it may use, and how often its waiting messages have their turn. */
export function AccountLimits({ account, onClose, onSave }: Props): JSX.Element {
  const { email, budget, freeShare, priority } = account;
  const [share, setShare] = useState<ShareKind>(typeof freeShare === 'number' ? 'number' : freeShare);
  const currency = latest.value?.quota.currency ?? '';
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = event.currentTarget;
    if (!(form instanceof HTMLFormElement)) return;
    onSave({
      budget: { dayMicros: microsIn(form, 'day'), monthMicros: microsIn(form, 'month') },
      freeShare: share === 'number' ? Number(formText(form, 'requests')) : share,
      priority: PRIORITIES.find((one) => one === formText(form, 'priority')) ?? priority,
    });
  };
  return (
    <Dialog title={t('limits.title', { email })} onClose={onClose}>
      <form onSubmit={submit}>
        <Amount name="day" label={t('limits.day', { currency })} micros={budget.dayMicros} />
        <Amount name="month" label={t('limits.month', { currency })} micros={budget.monthMicros} />
        <Field label={t('limits.share')} hint={t('limits.shareHint')}>
          {(ids) => (
            <select {...ids} value={share} onChange={(event) => setShare(shareOf(event.currentTarget.value))}>
              <option value="all">{t('limits.all')}</option>
              <option value="equal">{t('limits.equal')}</option>
              <option value="number">{t('limits.number')}</option>
            </select>
          )}
        </Field>
        {share === 'number' && (
          <Field label={t('limits.requests')}>
            {(ids) => (
              <input
                {...ids}
                name="requests"
                type="number"
                min="0"
                step="1"
                required
                defaultValue={typeof freeShare === 'number' ? String(freeShare) : ''}
              />
            )}
          </Field>
        )}
        <Field label={t('limits.priority')} hint={t('limits.priorityHint')}>
          {(ids) => (
            <select {...ids} name="priority" defaultValue={priority}>
              {PRIORITIES.map((one) => (
                <option key={one} value={one} selected={one === priority}>
                  {textOfCode('priority', one) ?? one}
                </option>
              ))}
            </select>
          )}
        </Field>
        <div class="actions">
          <button type="button" class="button" onClick={onClose}>
            {t('admin.back')}
          </button>
          <button type="submit" class="button primary">
            {t('limits.save')}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function Amount({ name, label, micros }: { name: string; label: string; micros: number | null }): JSX.Element {
  return (
    <Field label={label} hint={t('limits.none')} isOptional>
      {(ids) => (
        <input
          {...ids}
          name={name}
          type="number"
          min="0"
          step="any"
          inputMode="decimal"
          defaultValue={micros === null ? '' : String(micros / MICROS)}
        />
      )}
    </Field>
  );
}

/** Null for an empty field: no limit. */
function microsIn(form: HTMLFormElement, name: string): number | null {
  const text = formText(form, name);
  return text === '' ? null : Math.round(Number(text) * MICROS);
}

function shareOf(value: string): ShareKind {
  return value === 'all' || value === 'equal' ? value : 'number';
}
