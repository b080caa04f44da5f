import type { KeyObject } from 'node:crypto';
import { Logger } from '@nestjs/common';
import { OutageLog } from '#service';
import { KeysUnavailable, type KeySource } from './access-token.verifier.js';
import { parseJwkSet, type PublicKeys } from './jwk.js';

export interface RemoteKeysOptions {
  /** Timeout of a fetch; default 2 s. */
  timeoutMs?: number;
  /** Shortest time between two fetches for unknown keys; default 5 s. */
  cooldownMs?: number;
  /** Age from which keys are fetched again in the background, to forget withdrawn ones; default 60 s. */
  refreshMs?: number;
}

/** Without any key no request can be served: fetch more often. */
const EMPTY_COOLDOWN_MS = 500;

/**
 * The public keys of a JWK Set URL. It is fetched for the first token and for each unknown key id; while it cannot be
 * fetched, the last known keys stay in use.
 */
export class RemoteKeys implements KeySource {
  private readonly outage = new OutageLog(new Logger('keys'), {
    failed: 'keys cannot be fetched',
    recovered: 'keys can be fetched again',
  });
  private keys: PublicKeys | undefined;
  private fetching: Promise<void> | undefined;
  private triedAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly url: string,
    private readonly options: RemoteKeysOptions = {},
  ) {}

  /** @throws KeysUnavailable while no fetch has succeeded yet */
  get(keyId: string): KeyObject | undefined | Promise<KeyObject | undefined> {
    const key = this.keys?.get(keyId);
    if (key === undefined) return this.fetchAndGet(keyId);
    if (this.sinceLastTry() > (this.options.refreshMs ?? 60_000)) void this.fetchOnce();
    return key;
  }

  private async fetchAndGet(keyId: string): Promise<KeyObject | undefined> {
    const cooldownMs = this.keys === undefined ? EMPTY_COOLDOWN_MS : (this.options.cooldownMs ?? 5_000);
    if (this.fetching !== undefined || this.sinceLastTry() > cooldownMs) await this.fetchOnce();
    if (this.keys === undefined) throw new KeysUnavailable('no public keys have been fetched yet');
    return this.keys.get(keyId);
  }

  private sinceLastTry(): number {
    return performance.now() - this.triedAt;
  }

  private fetchOnce(): Promise<void> {
    this.fetching ??= this.fetch().finally(() => {
      this.fetching = undefined;
    });
    return this.fetching;
  }

  private async fetch(): Promise<void> {
    this.triedAt = performance.now();
    try {
      const signal = AbortSignal.timeout(this.options.timeoutMs ?? 2_000);
      const response = await fetch(this.url, { signal, redirect: 'error' });
      if (!response.ok) throw new Error(`status ${response.status}`);
      this.keys = parseJwkSet(await response.json());
      this.outage.recovered();
    } catch (error) {
      this.outage.failed({ err: error });
    }
  }
}
