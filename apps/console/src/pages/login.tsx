import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { ApiError } from '../api/problem.js';
import { logIn } from '../api/session.js';
import { t } from '../i18n/i18n.js';
import logo from '../octo.svg';
import { Field } from '../ui/field.js';
import { formText } from '../ui/form-text.js';
import { Failure } from '../ui/states.js';

export function LoginPage(): JSX.Element {
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const [needsCode, setNeedsCode] = useState(false);

  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    if (!(event.currentTarget instanceof HTMLFormElement)) return;
    const form = event.currentTarget;
    const credentials = { email: formText(form, 'email'), password: formText(form, 'password') };
    setBusy(true);
    setError(undefined);
    try {
      await logIn({ ...credentials, ...(needsCode && { totp: formText(form, 'totp') }) });
    } catch (failure) {
      const asksForCode = failure instanceof ApiError && failure.code === 'totp_required';
      setNeedsCode(needsCode || asksForCode);
      setError(asksForCode && !needsCode ? undefined : failure);
      setBusy(false);
    }
  };

  return (
    <main class="alone">
      <form class="card login" onSubmit={(event) => void submit(event)}>
        <p class="brand">
          <img src={logo} alt="" width="36" height="36" />
          Octo
        </p>
        <h1>{t('login.title')}</h1>
        <p class="quiet">{t('login.text')}</p>
        {error !== undefined && <Failure error={error} />}
        <Field label={t('login.email')}>
          {(ids) => <input {...ids} name="email" type="email" autocomplete="username" required autofocus />}
        </Field>
        <Field label={t('login.password')}>
          {(ids) => <input {...ids} name="password" type="password" autocomplete="current-password" required />}
        </Field>
        {needsCode && (
          <Field label={t('login.code')} hint={t('login.codeHint')}>
            {(ids) => (
              <input
                {...ids}
                name="totp"
                inputMode="numeric"
                pattern="[0-9]{6}"
                autocomplete="one-time-code"
                required
              />
            )}
          </Field>
        )}
        <button type="submit" class="button primary" disabled={isBusy}>
          {t(isBusy ? 'login.busy' : 'login.submit')}
        </button>
      </form>
    </main>
  );
}
