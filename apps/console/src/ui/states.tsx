import type { ComponentChildren, JSX } from 'preact';
import { ApiError } from '../api/problem.js';
import { duration } from '../i18n/format.js';
import { t, textOfCode } from '../i18n/i18n.js';
import { Icon, type IconName } from './icon.js';

export function Loading({ what }: { what?: string }): JSX.Element {
  return (
    <p class="state" role="status">
      <span class="spinner" />
      {what ?? t('loading')}
    </p>
  );
}

export function Empty({
  icon,
  title,
  children,
}: {
  icon: IconName;
  title: string;
  children?: ComponentChildren;
}): JSX.Element {
  return (
    <div class="state empty">
      <Icon name={icon} />
      <p class="state-title">{title}</p>
      {children}
    </div>
  );
}

/** What went wrong, what to do about it, and the id that the logs carry. */
export function Failure({ error, onRetry }: { error: unknown; onRetry?: () => void }): JSX.Element {
  return (
    <div class="notice tone-bad" role="alert">
      <Icon name="warning" />
      <div>
        <p>{describeError(error)}</p>
        <Details error={error} />
      </div>
      {onRetry && (
        <button type="button" class="button" onClick={onRetry}>
          {t('retry')}
        </button>
      )}
    </div>
  );
}

function Details({ error }: { error: unknown }): JSX.Element | null {
  if (!(error instanceof ApiError)) return null;
  const { detail, requestId } = error.problem;
  const isKnown = textOfCode('problem', error.code) !== undefined;
  return (
    <>
      {isKnown && detail !== undefined && error.code === 'message_rejected' && <p>{detail}</p>}
      {error.retryAfterMs !== undefined && <p>{t('retryAfter', { time: duration(error.retryAfterMs) })}</p>}
      {error.status >= 500 && requestId !== undefined && (
        <p class="quiet">
          {t('requestId')} <code>{requestId}</code>
        </p>
      )}
    </>
  );
}

/** In the language of the page where it knows the problem; otherwise as the API says it. */
export function describeError(error: unknown): string {
  if (!(error instanceof ApiError)) return error instanceof Error ? error.message : String(error);
  return textOfCode('problem', error.code) ?? error.problem.detail ?? error.problem.title ?? t('problem.unknown');
}
