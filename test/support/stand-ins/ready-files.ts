import { readFileSync } from 'node:fs';
import { parse, stringify } from 'yaml';
import { type StandIn, standIns, type StandInServer } from './stand-in-server.js';

/** Small, and long enough for a test to use it up. */
const TEST_QUOTA = { policy: 'sliding-window', limit: 3, windowMs: 60_000 };

interface ReadyFile {
  channels: Record<string, { providers: string[] }>;
  providers: { name: string; quota?: object; quotas?: object[] }[];
}

/** The paid provider that several ready files name is a stand-in without a ready file. */
const carrier = standIns.find(({ name }) => name === 'carrier');

/** Stand-ins of the providers that have a ready file. */
export const readyStandIns = standIns.filter((standIn) => standIn !== carrier);

/** Everything that the ready files take from the environment. */
export const standInEnv = Object.assign({}, ...standIns.map(({ env }) => env)) as Record<string, string>;

export function readyFileOf({ name }: StandIn): string {
  return `docs/providers/${name}.yaml`;
}

/** Names the channel in which a provider delivers, or answers with one of its errors. */
export function channelOf({ name }: StandIn, error = 'delivered'): string {
  return `${name}-${error}`;
}

/**
 * One providers file with a channel for every answer of every provider, each with accounts of its own, whose requests go to
 * the stand-ins. Only the quota of the channels that deliver is smaller.
 */
export function joinReadyFiles(server: StandInServer): string {
  const parts = readyStandIns.flatMap((standIn) =>
    ['delivered', ...Object.keys(standIn.errors)].map((error) => partFor(standIn, error, server)),
  );
  const channels = Object.assign({}, ...parts.map((part) => part.channels)) as ReadyFile['channels'];
  const joined = { currency: 'USD', channels, providers: parts.flatMap(({ providers }) => providers) };
  return stringify(joined, { aliasDuplicateObjects: false });
}

function partFor(standIn: StandIn, error: string, server: StandInServer): ReadyFile {
  const { channels, providers } = parse(redirected(standIn, server)) as ReadyFile;
  const [channel] = Object.values(channels);
  if (channel === undefined) throw new Error(`${readyFileOf(standIn)} has no channel`);
  const prefix = `${channelOf(standIn, error)}-`;
  return {
    channels: {
      [channelOf(standIn, error)]: { ...channel, providers: channel.providers.map((name) => prefix + name) },
    },
    providers: providers.map((provider) => {
      const { name, quota, quotas } = provider;
      const smaller = { ...(quota && { quota: TEST_QUOTA }), ...(quotas && { quotas: withSmallest(quotas) }) };
      return Object.assign({}, provider, { name: prefix + name }, error === 'delivered' && smaller);
    }),
  };
}

/** The first quota of the list is the one that a test uses up. */
function withSmallest([first, ...others]: object[]): object[] {
  const { name } = { name: '', ...first };
  return [{ ...TEST_QUOTA, name }, ...others];
}

/** The ready file with the stand-ins' addresses; user and password of a URL stay. */
function redirected(standIn: StandIn, server: StandInServer): string {
  let text = readFileSync(readyFileOf(standIn), 'utf8');
  for (const target of carrier === undefined ? [standIn] : [standIn, carrier]) {
    const host = target.origin.replace('https://', '');
    const [scheme, address] = server.originOf(target).split('//');
    text = text.replaceAll(
      new RegExp(`https://([^/'\n]*@)?${host.replaceAll('.', '\\.')}`, 'g'),
      `${scheme}//$1${address}`,
    );
  }
  return text;
}
