import { isIP } from 'node:net';
import type { CallbackSettings } from './callback-settings.js';
import { isAllowedAddress } from './is-allowed-address.js';

const MAX_URL_CHARS = 2_048;

/**
 * Why callbacks may not go to a `callbackUrl`, in words that can follow the field's name; `undefined` when they may. The
 * addresses behind the host name are checked when the connection is made: they may have changed by then.
 */
export function callbackRefusal(callbackUrl: string, settings: CallbackSettings): string | undefined {
  if (settings.CALLBACK_SECRETS.length === 0) return 'cannot be used: the gateway has no CALLBACK_SECRETS to sign with';
  if (callbackUrl.length > MAX_URL_CHARS) return `must be at most ${MAX_URL_CHARS} characters`;
  if (!URL.canParse(callbackUrl)) return 'must be an absolute URL';
  const url = new URL(callbackUrl);
  const allowPrivate = settings.CALLBACK_ALLOW_PRIVATE;
  if (url.protocol !== 'https:' && !(allowPrivate && url.protocol === 'http:')) {
    return allowPrivate ? 'must start with https:// or http://' : 'must start with https://';
  }
  if (url.username !== '' || url.password !== '') return 'must not contain a user name or a password';
  return hostRefusal(hostOf(url), settings);
}

/** Without the brackets of an IPv6 address and the final dots of a name. */
function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.+$/, '');
}

function hostRefusal(host: string, settings: CallbackSettings): string | undefined {
  const allowPrivate = settings.CALLBACK_ALLOW_PRIVATE;
  const isLocalName = host === 'localhost' || host.endsWith('.localhost');
  if (isIP(host) !== 0 ? !isAllowedAddress(host, { allowPrivate }) : isLocalName && !allowPrivate) {
    return 'must not lead to a private or reserved address';
  }
  const patterns = settings.CALLBACK_HOSTS;
  if (patterns.length > 0 && !patterns.some((pattern) => matches(host, pattern))) {
    return 'must name a host that CALLBACK_HOSTS allows';
  }
  return undefined;
}

function matches(host: string, pattern: string): boolean {
  return pattern.startsWith('*.') ? host.endsWith(pattern.slice(1)) : host === pattern;
}
