import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { ApiError } from '../api/problem.js';
import { t } from '../i18n/i18n.js';
import { Dialog } from './dialog.js';
import { Field } from './field.js';
import { formText } from './form-text.js';
import { Failure } from './states.js';

/** A change that only admins may make. */
export interface AdminChange {
  /** What is changed, for a question after the admin's password. */
  name: string;
  /** Asked first, where much depends on the change. */
  question?: { title: string; text: string; confirm: string };
  apply: (currentPassword: string | undefined) => Promise<void>;
}

interface Asking {
  change: AdminChange;
  needsPassword: boolean;
}

/** Makes changes of an admin, and asks for the password where a login is too old. */
export function useAdminChange(): {
  start: (change: AdminChange) => void;
  /** Of a change that failed without a question. */
  error: unknown;
  dialog: JSX.Element | undefined;
} {
  const [asking, setAsking] = useState<Asking>();
  const [error, setError] = useState<unknown>();

  const apply = async (change: AdminChange, currentPassword?: string): Promise<void> => {
    setError(undefined);
    try {
      await change.apply(currentPassword);
      setAsking(undefined);
    } catch (failure) {
      const needsPassword = failure instanceof ApiError && failure.code === 'reauthentication_required';
      if (needsPassword) setAsking({ change, needsPassword });
      else setError(failure);
    }
  };

  return {
    start: (change) => {
      setError(undefined);
      if (change.question) setAsking({ change, needsPassword: false });
      else void apply(change);
    },
    error: asking === undefined ? error : undefined,
    dialog: asking && (
      <Confirmation
        asking={asking}
        error={error}
        onClose={() => setAsking(undefined)}
        onConfirm={(password) => void apply(asking.change, password)}
      />
    ),
  };
}

interface ConfirmationProps {
  asking: Asking;
  error: unknown;
  onClose: () => void;
  onConfirm: (currentPassword: string | undefined) => void;
}

function Confirmation({ asking, error, onClose, onConfirm }: ConfirmationProps): JSX.Element {
  const { change, needsPassword } = asking;
  const question = change.question ?? {
    title: t('admin.confirmTitle'),
    text: t('admin.confirmText', { name: change.name }),
    confirm: t('admin.confirm'),
  };
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    if (!(event.currentTarget instanceof HTMLFormElement)) return;
    onConfirm(formText(event.currentTarget, 'password') || undefined);
  };
  return (
    <Dialog title={question.title} onClose={onClose}>
      <form onSubmit={submit}>
        <p>{question.text}</p>
        {error !== undefined && <Failure error={error} />}
        {needsPassword && (
          <Field label={t('admin.password')}>
            {(ids) => <input {...ids} name="password" type="password" autocomplete="current-password" required />}
          </Field>
        )}
        <div class="actions">
          <button type="button" class="button" onClick={onClose}>
            {t('admin.back')}
          </button>
          <button type="submit" class="button danger">
            {question.confirm}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
