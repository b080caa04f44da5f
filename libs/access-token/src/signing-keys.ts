import { generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { SettingsError } from '#service';
import { type PublicKeys, publicKeysOf } from './jwk.js';
import { privateKeyPem, publicKeyPem } from './key-pem.js';

/** Settings of an app that signs access tokens. */
export const signingKeySettings = {
  /** PEM, PKCS #8, P-256. One of the two; outside production the app creates a missing file. */
  JWT_PRIVATE_KEY: privateKeyPem().optional(),
  JWT_PRIVATE_KEY_FILE: z.string().optional(),
  /** The key before the current one, public or private: its tokens stay valid, so a key change logs no user out. */
  JWT_PREVIOUS_PUBLIC_KEY: publicKeyPem().optional(),
  JWT_PREVIOUS_PUBLIC_KEY_FILE: z.string().optional(),
};

export interface SigningKeys {
  privateKey: KeyObject;
  /** Verify tokens: the current key and the previous one. */
  publicKeys: PublicKeys;
}

export type SigningKeyOptions = { NODE_ENV: string } & Partial<z.infer<z.ZodObject<typeof signingKeySettings>>>;

const DEVELOPMENT_KEY_FILE = '.data/jwt-private-key.pem';

/**
 * Loads the keys that the settings name.
 * @throws SettingsError naming the variable of a file that cannot be used
 */
export function loadSigningKeys(settings: SigningKeyOptions): SigningKeys {
  const privateKey = settings.JWT_PRIVATE_KEY ?? privateKeyFromFile(settings);
  const previousFile = settings.JWT_PREVIOUS_PUBLIC_KEY_FILE;
  const previous =
    settings.JWT_PREVIOUS_PUBLIC_KEY ??
    (previousFile && keyFromFile({ file: previousFile, name: 'JWT_PREVIOUS_PUBLIC_KEY_FILE', schema: publicKeyPem() }));
  return { privateKey, publicKeys: publicKeysOf(previous ? [privateKey, previous] : [privateKey]) };
}

function privateKeyFromFile({ NODE_ENV, JWT_PRIVATE_KEY_FILE }: SigningKeyOptions): KeyObject {
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
