import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { MESSAGE_MAX_BYTES, messageTextSchema } from '#contracts';
import type { ChannelInput } from './provider-schema.js';
import type { Provider } from './providers-file.js';

export interface FieldError {
  /** JSON pointer from the root of the request body (RFC 6901). */
  pointer: string;
  detail: string;
  isTooLarge?: boolean;
}

/** Errors of one message that an answer names. */
const ERRORS_MAX = 20;

/** What a message of this channel is, and the provider accounts that can deliver it. */
export interface Channel {
  readonly name: string;
  /** In the order they are tried: by price, then by their place in the channel. */
  readonly providers: readonly Provider[];
  readonly onNoAnswer: 'next' | 'stop';
  readonly onRejected: 'next' | 'stop';
  /** Undefined: a message is text. */
  readonly schema: object | undefined;
  /** Every error of a message; empty when it is valid. */
  errorsOf(message: unknown): FieldError[];
}

interface Problem {
  field: readonly PropertyKey[];
  message: string;
}

/**
 * Compiles a channel. Its problems are relative to the channel's place in the file.
 * @param providerNames of the whole file; a provider with a problem of its own is among them, and not among `all`
 */
export function compileChannel(
  name: string,
  { message: schema, providers: names, onNoAnswer, onRejected }: ChannelInput,
  { all, providerNames }: { all: readonly Provider[]; providerNames: readonly string[] },
): { channel: Channel; problems: Problem[] } {
  const problems: Problem[] = [];
  for (const [index, wanted] of names.entries()) {
    if (!providerNames.includes(wanted)) {
      problems.push({ field: ['providers', index], message: `there is no provider "${wanted}"` });
    }
  }
  const inOrder = names.flatMap((wanted) => all.filter((provider) => provider.name === wanted));
  const providers = inOrder.toSorted((one, other) => one.priceMicros - other.priceMicros);
  const errorsOf = schema === undefined ? textErrors : schemaErrors(schema, problems);
  return { channel: { name, providers, onNoAnswer, onRejected, schema, errorsOf }, problems };
}

function schemaErrors(schema: object, problems: Problem[]): Channel['errorsOf'] {
  const ajv = new Ajv2020({ allErrors: true, strict: true, allowUnionTypes: true });
  formats.default(ajv);
  let validate: ValidateFunction;
  try {
    validate = ajv.compile(schema);
  } catch (error) {
    problems.push({ field: ['message'], message: `is not a JSON Schema: ${(error as Error).message}` });
    return () => [];
  }
  return (message) => {
    if (!validate(message)) return (validate.errors ?? []).slice(0, ERRORS_MAX).map(fieldError);
    return Buffer.byteLength(JSON.stringify(message)) <= MESSAGE_MAX_BYTES ? [] : [TOO_LARGE];
  };
}

const TOO_LARGE: FieldError = {
  pointer: '/message',
  detail: `must have at most ${MESSAGE_MAX_BYTES} bytes of JSON`,
  isTooLarge: true,
};

function fieldError({ instancePath, message = 'is not valid', keyword, params }: ErrorObject): FieldError {
  const pointerTo = (member = ''): string =>
    `/message${instancePath}/${member.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  const extra = params as { missingProperty?: string; additionalProperty?: string };
  if (keyword === 'required') {
    return { pointer: pointerTo(extra.missingProperty), detail: 'is required' };
  }
  if (keyword === 'additionalProperties') {
    return { pointer: pointerTo(extra.additionalProperty), detail: 'is not a known field' };
  }
  return { pointer: `/message${instancePath}`, detail: message };
}

function textErrors(message: unknown): FieldError[] {
  const { success, error } = messageTextSchema.safeParse(message);
  if (success) return [];
  return error.issues.map((issue) => ({
    pointer: '/message',
    detail: issue.message,
    isTooLarge: issue.code === 'custom' && issue.params?.['problem'] === 'message_too_large',
  }));
}
