import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { connection, latest } from './api/live.js';
import { logOut, session } from './api/session.js';
import { t } from './i18n/i18n.js';
import logo from './octo.svg';
import { hrefOf, Link, location } from './router.js';
import { nextTheme, theme } from './theme.js';
import { Alerts } from './ui/alerts.js';
import { Icon, type IconName } from './ui/icon.js';

const LINKS = [
  ['/', 'overview'],
  ['/send', 'send'],
  ['/messages', 'messages'],
  ['/usage', 'usage'],
  ['/configuration', 'configuration'],
] as const;

export function Shell({ title, children }: { title: string; children: ComponentChildren }): JSX.Element {
  const heading = useRef<HTMLHeadingElement>(null);
  const { path } = location.value;
  const isFirst = useRef(true);
  useEffect(() => {
    // A page that opens by a link begins at its heading, as a page of a server would.
    if (!isFirst.current) heading.current?.focus();
    isFirst.current = false;
    window.scrollTo(0, 0);
  }, [path]);
  return (
    <div class="shell">
      <a class="skip" href="#content">
        {t('skip')}
      </a>
      <header class="bar">
        <a class="brand" href={hrefOf('/')}>
          <img src={logo} alt="" width="28" height="28" />
          Octo
        </a>
        <Navigation />
        <Session />
      </header>
      <main id="content" tabIndex={-1}>
        <div class="page-head">
          <h1 ref={heading} tabIndex={-1}>
            {title}
          </h1>
          <Connection />
        </div>
        <Alerts />
        {children}
      </main>
    </div>
  );
}

function Navigation(): JSX.Element {
  const links: (readonly [string, IconName & keyof typeof NAMES])[] = [...LINKS];
  if (session.value?.role === 'admin') links.push(['/providers', 'providers'], ['/accounts', 'accounts']);
  return (
    <nav aria-label={t('navigation')}>
      {links.map(([to, name]) => (
        <Link key={to} to={to} {...(isAt(to) && { 'aria-current': 'page' })}>
          <Icon name={name} />
          <span>{t(NAMES[name])}</span>
        </Link>
      ))}
    </nav>
  );
}

const NAMES = {
  overview: 'overview.title',
  send: 'send.title',
  messages: 'messages.title',
  usage: 'usage.title',
  configuration: 'configuration.title',
  providers: 'providers.title',
  accounts: 'accounts.title',
} as const;

function isAt(to: string): boolean {
  const { path } = location.value;
  if (to === '/messages' && path.startsWith('/traces/')) return true;
  return to === '/' ? path === '/' : path === to || path.startsWith(`${to}/`);
}

const THEME_ICONS = { auto: 'auto', light: 'sun', dark: 'moon' } as const;

function Session(): JSX.Element {
  const account = session.value;
  const themeLabel = t('theme', { name: t(`theme.${theme.value}`) });
  return (
    <div class="session">
      <p class="who" title={account?.email}>
        <span class="email">{account?.email}</span>
        <span class="quiet">{t(account?.paidAccess ? 'paidAccess.yes' : 'paidAccess.no')}</span>
      </p>
      <button type="button" class="button icon-button" onClick={nextTheme} aria-label={themeLabel} title={themeLabel}>
        <Icon name={THEME_ICONS[theme.value]} />
      </button>
      <button
        type="button"
        class="button icon-button"
        onClick={() => void logOut()}
        aria-label={t('logout')}
        title={t('logout')}
      >
        <Icon name="logout" />
      </button>
    </div>
  );
}

/** Whether the figures on the page are of this second, and of how many pods. */
function Connection(): JSX.Element {
  const pods = latest.value?.pods.length ?? 0;
  const texts = {
    live: t('connection.live', { count: pods }),
    connecting: t('connection.connecting'),
    lost: t('connection.lost'),
  };
  return (
    <p
      class={`connection is-${connection.value}`}
      role="status"
      title={latest.value?.pods.map(({ pod }) => pod).join(', ')}
    >
      {texts[connection.value]}
    </p>
  );
}
