import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { authSettings } from '../../apps/auth/src/auth.settings.js';
import { freeProviderSettings } from '../../apps/free-provider/src/free-provider.settings.js';
import { gatewaySettings } from '../../apps/gateway/src/gateway.settings.js';
import { stackSettings } from './check-settings.js';

/** Given to each app by whoever starts it, not by the user. */
const PER_APP = new Set(['PORT', 'AUTH_URL']);

describe('.env.example', () => {
  it('names every setting there is', () => {
    const schemas = [authSettings, freeProviderSettings, gatewaySettings, stackSettings];
    const names = new Set(schemas.flatMap(({ shape }) => Object.keys(shape)).filter((name) => !PER_APP.has(name)));
    const listed = new Set(
      readFileSync('.env.example', 'utf8')
        .match(/^#[A-Z_]+(?==)/gm)
        ?.map((line) => line.slice(1)),
    );
    expect([...names].filter((name) => !listed.has(name))).toEqual([]);
  });
});
