import { signal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';

const BASE = '/console';

/** Path below `/console`, such as `/messages`, and its query. */
export const location = signal(read());

export interface Location {
  path: string;
  query: URLSearchParams;
}

function read(): Location {
  const { pathname, search } = window.location;
  const path = pathname.slice(BASE.length).replace(/\/+$/, '');
  return { path: path === '' ? '/' : path, query: new URLSearchParams(search) };
}

export function hrefOf(path: string): string {
  return path === '/' ? BASE : BASE + path;
}

export function navigate(path: string, { replace = false } = {}): void {
  if (replace) window.history.replaceState(null, '', hrefOf(path));
  else window.history.pushState(null, '', hrefOf(path));
  location.value = read();
}

window.addEventListener('popstate', () => (location.value = read()));

/** A link inside of the console. */
export function Link({ to, children, ...rest }: { to: string; children: ComponentChildren } & LinkProps): JSX.Element {
  const follow = (event: MouseEvent): void => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(to);
  };
  return (
    <a href={hrefOf(to)} onClick={follow} {...rest}>
      {children}
    </a>
  );
}
type LinkProps = Pick<JSX.IntrinsicElements['a'], 'class' | 'aria-current' | 'aria-label' | 'title'>;
