// `npm run providers -- check | --explain | --probe | schema`: looks at a providers file without starting a gateway.
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { parseArgs } from 'node:util';
import { SettingsError } from '#service';
import type { Channel } from '../apps/gateway/src/providers/channel.js';
import type { OutgoingMessage } from '../apps/gateway/src/providers/provider-client.js';
import { DEFAULT_CHANNEL, type Provider, readProvidersFile } from '../apps/gateway/src/providers/providers-file.js';
import { describeFile } from './providers/describe-file.js';
import { explainRequest } from './providers/explain-request.js';
import { providersFileJsonSchema } from './providers/file-schema.js';
import { type InspectedFile, inspectFile } from './providers/inspect-file.js';
import { probeProvider } from './providers/probe-provider.js';

const USAGE = `npm run providers -- [check] [FILE] [options]
  check                   validates the file; prints channels, order, quotas and missing variables
  --explain MESSAGE.json  prints the HTTP request each provider would get, with secrets masked
  --probe MESSAGE.json    sends the message to one provider and prints what the answer means
    --channel NAME        channel of the message; default: the only one, or "default"
    --provider NAME       provider or account of the channel; default: all (--explain), the first (--probe)
    --yes                 sends without asking
npm run providers -- schema
  writes the JSON Schema of the file, providers.schema.json
FILE is PROVIDERS_FILE by default, or providers.yaml. MESSAGE.json holds a message, or the body of POST /messages.`;

const SCHEMA_FILE = 'providers.schema.json';

/** Why the command cannot go on. */
class Refusal extends Error {}

if (existsSync('.env')) process.loadEnvFile('.env');
try {
  process.exitCode = await main();
} catch (error) {
  console.error(explanationOf(error));
  process.exitCode = 1;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      explain: { type: 'string' },
      probe: { type: 'string' },
      channel: { type: 'string' },
      provider: { type: 'string' },
      yes: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const isCommand = positionals[0] === 'check' || positionals[0] === 'schema';
  const [command, given, ...rest] = isCommand ? positionals : ['check', ...positionals];
  const wanted = values.explain ?? values.probe;
  if (values.help) return print(USAGE);
  if (rest.length > 0 || (!isCommand && given === undefined && wanted === undefined)) throw new Refusal(USAGE);
  if (command === 'schema') return writeSchema();
  const path = given ?? (process.env['PROVIDERS_FILE'] || 'providers.yaml');
  const file = inspectFile(path, process.env);
  if (wanted === undefined) return check(path, file);
  const choice = chooseIn(file, path, { message: readMessage(wanted), ...values });
  return values.probe === undefined ? explain(choice, file) : probe(choice, path, values.yes);
}

/** @throws the error itself when it is a bug */
function explanationOf(error: unknown): string {
  if (error instanceof SettingsError) return error.problems.join('\n');
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (error instanceof Refusal || code.startsWith('ERR_PARSE_ARGS')) return (error as Error).message;
  throw error;
}

function readMessage(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as unknown;
  } catch (error) {
    throw new Refusal(`${path}: ${(error as Error).message}`, { cause: error });
  }
}

function print(text: string): number {
  console.log(text);
  return 0;
}

function writeSchema(): number {
  writeFileSync(SCHEMA_FILE, providersFileJsonSchema());
  return print(`${SCHEMA_FILE} is written.`);
}

function check(path: string, { masked, missing, problems }: InspectedFile): number {
  for (const problem of problems) console.error(problem);
  if (masked !== undefined) console.log(`${problems.length > 0 ? '\n' : ''}${describeFile(masked)}\n`);
  if (missing.length > 0) console.log(`missing from the environment: ${missing.join(', ')}`);
  else if (problems.length === 0) console.log(`${path} is valid; no variable is missing from the environment.`);
  return problems.length === 0 ? 0 : 1;
}

interface Choice {
  channel: Channel;
  providers: readonly Provider[];
  message: OutgoingMessage;
}

/** The channel, message and providers that the options name. */
function chooseIn(
  { masked, problems }: InspectedFile,
  path: string,
  options: { message: unknown; channel?: string | undefined; provider?: string | undefined },
): Choice {
  if (masked === undefined) throw new Refusal(problems.join('\n'));
  const body = bodyOf(options.message);
  const name = options.channel ?? body?.channel;
  const channel = channelOf(masked.channels, name, path);
  const candidates = [...(body === undefined ? [] : [body.message]), options.message];
  const content = candidates.find((candidate) => channel.errorsOf(candidate).length === 0);
  if (content === undefined) {
    const errors = channel.errorsOf(candidates[0]).map(({ pointer, detail }) => `${pointer}: ${detail}`);
    throw new Refusal(`The message is not valid in channel "${channel.name}":\n${errors.join('\n')}`);
  }
  const providers = channel.providers.filter(
    ({ key, name: provider }) => options.provider === undefined || [key, provider].includes(options.provider),
  );
  if (providers.length === 0) throw new Refusal(`Channel "${channel.name}" has no provider "${options.provider}".`);
  return { channel, providers, message: outgoing(channel, content) };
}

/** The body of `POST /messages`, if that is what the file holds. */
function bodyOf(value: unknown): { message: unknown; channel: string | undefined } | undefined {
  if (typeof value !== 'object' || value === null || !('message' in value)) return undefined;
  const { message, channel } = value as { message: unknown; channel?: unknown };
  return { message, channel: typeof channel === 'string' ? channel : undefined };
}

function channelOf(channels: ReadonlyMap<string, Channel>, name: string | undefined, path: string): Channel {
  const [only] = channels.size === 1 ? channels.values() : [];
  const found = name === undefined ? (only ?? channels.get(DEFAULT_CHANNEL)) : channels.get(name);
  if (found !== undefined) return found;
  const names = [...channels.keys()].join(', ');
  throw new Refusal(`Name a channel of ${path} with --channel: ${names}.`);
}

/** Id and trace are new for each message; these show their form. */
function outgoing({ name: channel }: Channel, content: unknown): OutgoingMessage {
  const id = '00000000-0000-7000-8000-000000000000';
  const traceparent = '00-00000000000000000000000000000001-0000000000000001-00';
  return { id, channel, content, requestId: id, traceparent };
}

async function explain({ providers, message }: Choice, { missing }: InspectedFile): Promise<number> {
  let isFitting = true;
  for (const [index, provider] of providers.entries()) {
    const { fits, text } = await explainRequest(provider, message);
    isFitting &&= fits;
    console.log(`${index === 0 ? '' : '\n'}# ${provider.key}\n${text}`);
  }
  if (missing.length > 0) console.error(`\nmissing from the environment: ${missing.join(', ')}`);
  return isFitting ? 0 : 1;
}

async function probe({ providers, message, channel }: Choice, path: string, isConfirmed: boolean): Promise<number> {
  const config = readProvidersFile(path, process.env);
  const real = config.channels.get(channel.name)?.providers.find(({ key }) => key === providers[0]?.key);
  if (real === undefined) throw new Refusal(`Channel "${channel.name}" has no such provider.`);
  if (!isConfirmed) await confirm(`Send this message to ${real.key}? It may cost money and uses its quota. [y/N] `);
  const id = randomUUID();
  const { isDelivered, text } = await probeProvider(real, { ...message, id, requestId: id });
  console.log(config.redact(text));
  return isDelivered ? 0 : 1;
}

async function confirm(question: string): Promise<void> {
  if (!process.stdin.isTTY) throw new Refusal('--probe sends a real message: add --yes.');
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await terminal.question(question);
  terminal.close();
  if (!/^y(es)?$/i.test(answer.trim())) throw new Refusal('Nothing was sent.');
}
