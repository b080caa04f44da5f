import { generateKeyPairSync, hkdfSync, type KeyObject, randomUUID } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Controller, Get, Header, Inject } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import type { z } from 'zod';
import { jwkSetOf, type PublicKeys, publicKeysOf } from '#access-token';
import { SettingsError } from '#service';
import type { AuthSettings } from './auth.settings.js';
import { privateKeyPem, publicKeyPem } from './key-pem.js';

export interface SigningKeys {
  privateKey: KeyObject;
  /** Verify tokens: the current key and the previous one. */
  publicKeys: PublicKeys;
}

type KeySettings = Pick<
  AuthSettings,
  'NODE_ENV' | 'JWT_PRIVATE_KEY' | 'JWT_PRIVATE_KEY_FILE' | 'JWT_PREVIOUS_PUBLIC_KEY' | 'JWT_PREVIOUS_PUBLIC_KEY_FILE'
>;

const DEVELOPMENT_KEY_FILE = '.data/jwt-private-key.pem';

/**
 * Loads the keys that the settings name.
 * @throws SettingsError naming the variable of a file that cannot be used
 */
export function loadSigningKeys(settings: KeySettings): SigningKeys {
  const privateKey = settings.JWT_PRIVATE_KEY ?? privateKeyFromFile(settings);
  const previousFile = settings.JWT_PREVIOUS_PUBLIC_KEY_FILE;
  const previous =
    settings.JWT_PREVIOUS_PUBLIC_KEY ??
    (previousFile && keyFromFile({ file: previousFile, name: 'JWT_PREVIOUS_PUBLIC_KEY_FILE', schema: publicKeyPem() }));
  return { privateKey, publicKeys: publicKeysOf(previous ? [privateKey, previous] : [privateKey]) };
}

/** A secret of 256 bits for one purpose, from the private key, which is not in the database (HKDF, RFC 5869). */
export function deriveKey(privateKey: KeyObject, purpose: string): Buffer {
  const { d } = privateKey.export({ format: 'jwk' });
  if (d === undefined) throw new TypeError('a key can be derived from a private key only');
  return Buffer.from(hkdfSync('sha256', Buffer.from(d, 'base64url'), '', purpose, 32));
}

function privateKeyFromFile({ NODE_ENV, JWT_PRIVATE_KEY_FILE }: KeySettings): KeyObject {
  const file = resolve(JWT_PRIVATE_KEY_FILE ?? DEVELOPMENT_KEY_FILE);
  if (NODE_ENV !== 'production' && !existsSync(file)) createKeyFile(file);
  return keyFromFile({ file, name: 'JWT_PRIVATE_KEY_FILE', schema: privateKeyPem() });
}

function keyFromFile({ file, name, schema }: { file: string; name: string; schema: z.ZodType<KeyObject> }): KeyObject {
  const key = schema.safeParse(readOrRefuse(file, name));
  if (key.success) return key.data;
  throw new SettingsError(key.error.issues.map((issue) => `${name}: ${issue.message}; ${file} is not`));
}

function readOrRefuse(file: string, name: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    throw new SettingsError([`${name}: cannot read ${file}`]);
  }
}

/**
 * The file appears whole or not at all. When processes start together, the first to link its draft wins, and all of them
 * use that key.
 */
function createKeyFile(file: string): void {
  const draft = `${file}.${randomUUID()}`;
  mkdirSync(dirname(file), { recursive: true });
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(draft, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  try {
    linkSync(draft, file);
  } catch (error) {
    if (!existsSync(file)) throw error;
  } finally {
    rmSync(draft);
  }
}

export const PUBLIC_KEYS = Symbol('public keys');

@ApiTags('accounts')
@Controller('.well-known')
export class JwksController {
  private readonly jwkSet: object;

  constructor(@Inject(PUBLIC_KEYS) keys: PublicKeys) {
    this.jwkSet = jwkSetOf(keys);
  }

  @Get('jwks.json')
  @Header('cache-control', 'public, max-age=60')
  @ApiOperation({ summary: 'The public keys that verify access tokens (RFC 7517)' })
  keys(): object {
    return this.jwkSet;
  }
}
