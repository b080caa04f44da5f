import { describe, expect, it } from '@jest/globals';
import { readSettings } from '#service';
import { AlwaysAccept } from './always-accept.js';
import { paidProviderSettings } from './paid-provider.settings.js';

describe('AlwaysAccept', () => {
  it('accepts every request and counts it', () => {
    const admission = new AlwaysAccept();
    const decisions = Array.from({ length: 1_000 }, () => admission.decide());
    expect(decisions.every(({ accepted }) => accepted)).toBe(true);
    expect(admission.stats()).toEqual({ accepted: 1_000, refused: 0, windows: [] });
  });

  it('counts from 0 after a reset', () => {
    const admission = new AlwaysAccept();
    admission.decide();
    admission.resetStats();
    expect(admission.stats()).toEqual({ accepted: 0, refused: 0, windows: [] });
  });
});

describe('paidProviderSettings', () => {
  it('needs no variable', () => {
    expect(readSettings(paidProviderSettings, {})).toMatchObject({ PORT: 4002 });
  });
});
