import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { authSettings } from '../../apps/auth/src/auth.settings.js';
import { freeProviderSettings } from '../../apps/free-provider/src/free-provider.settings.js';
import { gatewaySettings } from '../../apps/gateway/src/gateway.settings.js';
import { paidProviderSettings } from '../../apps/paid-provider/src/paid-provider.settings.js';
import { launcherSettings } from './check-settings.js';

const APPS = {
  auth: authSettings,
  'free-provider': freeProviderSettings,
  'paid-provider': paidProviderSettings,
  gateway: gatewaySettings,
};
/** Set by the launcher, the image or docker-compose.yml itself, separately for each app. */
const PER_APP = new Set(['PORT', 'AUTH_URL']);

const listed = [...readFileSync('.env.example', 'utf8').matchAll(/^#([A-Z_]+)=/gm)].map(([, name = '']) => name);

describe('.env.example', () => {
  it('lists every setting of the launcher and the apps', () => {
    const names = [launcherSettings, ...Object.values(APPS)].flatMap(({ shape }) => Object.keys(shape));
    expect(names.filter((name) => !PER_APP.has(name) && !listed.includes(name))).toEqual([]);
  });
});

describe('docker-compose.yml', () => {
  const { services } = parse(readFileSync('docker-compose.yml', 'utf8'), { merge: true }) as {
    services: Record<string, { environment?: Record<string, string | null> }>;
  };
  const passedTo = (service: string) => services[service]?.environment ?? {};

  it.each(Object.entries(APPS))('passes every listed setting that %s reads', (app, { shape }) => {
    // The image sets HOST: a container must listen on all addresses.
    const read = listed.filter((name) => name in shape && name !== 'HOST');
    const isPassed = (name: string): boolean => name in passedTo(app) || `${name}_FILE` in passedTo(app);
    expect(read.filter((name) => !isPassed(name))).toEqual([]);
  });

  it('passes every variable of providers.yaml to the gateways', () => {
    const used = [...readFileSync('providers.yaml', 'utf8').matchAll(/\$\{([A-Z_]+)[:}]/g)].map(
      ([, name = '']) => name,
    );
    expect(used.length).toBeGreaterThan(0);
    expect(used.filter((name) => name !== 'NAME' && !(name in passedTo('gateway')))).toEqual([]);
  });

  it('passes no setting under the name of another', () => {
    const pairs = Object.values(services).flatMap(({ environment = {} }) => Object.entries(environment));
    const sources = pairs.map(([name, value]) => ({ name, source: /^\$\{([A-Z_]+)/.exec(value ?? '')?.[1] }));
    const wrong = sources.filter(({ name, source }) => listed.includes(name) && source && source !== name);
    expect(wrong).toEqual([]);
  });
});
