import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { resume, session } from './api/session.js';
import { t } from './i18n/i18n.js';
import { AccountsPage } from './pages/accounts.js';
import { ConfigurationPage } from './pages/configuration.js';
import { LoginPage } from './pages/login.js';
import { MessagePage } from './pages/message.js';
import { MessagesPage } from './pages/messages.js';
import { OverviewPage } from './pages/overview.js';
import { ProvidersPage } from './pages/providers.js';
import { SendPage } from './pages/send/send.js';
import { TracePage } from './pages/trace/trace.js';
import { UsagePage } from './pages/usage/usage.js';
import { location } from './router.js';
import { Shell } from './shell.js';
import { Empty, Failure, Loading } from './ui/states.js';
import { useLoaded } from './ui/use-loaded.js';

interface Page {
  title: string;
  content: JSX.Element;
}

export function App(): JSX.Element {
  const { loaded, reload } = useLoaded(resume, '');
  if (session.value === undefined && loaded.state === 'loading') return <Loading />;
  if (session.value === undefined && loaded.state === 'failed') {
    return (
      <main class="alone">
        <Failure error={loaded.error} onRetry={reload} />
      </main>
    );
  }
  if (session.value === undefined) return <Titled title={t('login.title')} content={<LoginPage />} />;
  const page = pageAt(location.value.path);
  return (
    <Shell title={page.title}>
      <Titled {...page} />
    </Shell>
  );
}

function Titled({ title, content }: Page): JSX.Element {
  useEffect(() => {
    document.title = `${title} · Octo`;
  }, [title]);
  return content;
}

function pageAt(path: string): Page {
  const [, name = '', id] = path.split('/');
  if (path === '/') return { title: t('overview.title'), content: <OverviewPage /> };
  if (path === '/send') return { title: t('send.title'), content: <SendPage /> };
  if (path === '/messages') return { title: t('messages.title'), content: <MessagesPage /> };
  if (name === 'messages' && id !== undefined) {
    return { title: t('message.title'), content: <MessagePage key={id} id={decodeURIComponent(id)} /> };
  }
  if (name === 'traces' && id !== undefined) {
    return { title: t('trace.title'), content: <TracePage key={id} id={decodeURIComponent(id)} /> };
  }
  if (path === '/usage') return { title: t('usage.title'), content: <UsagePage /> };
  if (path === '/configuration') return { title: t('configuration.title'), content: <ConfigurationPage /> };
  if (path === '/providers' && session.value?.role === 'admin') {
    return { title: t('providers.title'), content: <ProvidersPage /> };
  }
  if (path === '/accounts' && session.value?.role === 'admin') {
    return { title: t('accounts.title'), content: <AccountsPage /> };
  }
  return { title: t('notFound.title'), content: <Empty icon="question" title={t('notFound.text')} /> };
}
