import type { Channel } from '../../apps/gateway/src/providers/channel.js';
import type { ProvidersFile } from '../../apps/gateway/src/providers/providers-file.js';
import { describeProviders } from '../stack/describe-providers.js';

/** Each channel, with its provider accounts in the order they are tried. */
export function describeFile({ channels }: ProvidersFile): string {
  return [...channels.values()].map(describeChannel).join('\n\n');
}

function describeChannel({ name, schema, providers, onNoAnswer, onRejected }: Channel): string {
  const message = schema === undefined ? 'text' : describeSchema(schema);
  const rows = describeProviders(providers).map((row, index) => `  ${index + 1}. ${row}`);
  return `channel ${name}\n  message ${message}\n  onNoAnswer ${onNoAnswer}, onRejected ${onRejected}\n${rows.join('\n')}`;
}

function describeSchema(schema: object): string {
  const { properties = {}, required = [] } = schema as { properties?: object; required?: string[] };
  const names = Object.keys(properties).map((name) => (required.includes(name) ? name : `${name}?`));
  return names.length === 0 ? 'JSON' : `{ ${names.join(', ')} }`;
}
