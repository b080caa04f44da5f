import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { ChannelList } from '#contracts';
import type { OutgoingMessage } from '../../api/client.js';
import { ApiError } from '../../api/problem.js';
import { session } from '../../api/session.js';
import { gatewayTime } from '../../clock.js';
import { t } from '../../i18n/i18n.js';
import { Field } from '../../ui/field.js';
import { Failure } from '../../ui/states.js';
import { initialValue, type Schema } from './schema.js';
import { SchemaField } from './schema-field.js';
import { sendOne } from './sent.js';

type Channel = ChannelList['items'][number];

/** How long a message may wait for free quota. */
const WAITS = [
  ['0', 'send.waitNot'],
  ['60000', 'send.waitMinute'],
  ['600000', 'send.waitTenMinutes'],
  ['3600000', 'send.waitHour'],
  ['86400000', 'send.waitDay'],
] as const;
const COPIES_MAX = 100;

export function SendForm({ channels }: { channels: readonly Channel[] }): JSX.Element {
  const initial = channels.find(({ isDefault }) => isDefault) ?? channels[0];
  const [channel, setChannel] = useState(initial);
  const [content, setContent] = useState(() => contentFor(initial));
  const [left, setLeft] = useState(0);
  const [error, setError] = useState<unknown>();

  const choose = (name: string): void => {
    const chosen = channels.find((candidate) => candidate.name === name);
    setChannel(chosen);
    setContent(contentFor(chosen));
    setError(undefined);
  };

  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    if (!(event.currentTarget instanceof HTMLFormElement)) return;
    const { message, copies, inBackground } = readForm(event.currentTarget, content, channel);
    setError(undefined);
    for (let rest = copies; rest > 0; rest -= 1) {
      setLeft(rest);
      const failure = await sendOne(message(), { inBackground });
      if (isMistake(failure)) {
        setError(failure);
        break;
      }
    }
    setLeft(0);
  };

  return (
    <form class="card send-form" onSubmit={(event) => void submit(event)} onKeyDown={submitOnCtrlEnter}>
      <h2>{t('send.new')}</h2>
      {channels.length > 1 && (
        <Field
          label={t('messages.channel')}
          hint={channel && t('send.via', { providers: channel.providers.join(', ') })}
        >
          {(ids) => (
            <select {...ids} value={channel?.name} onChange={({ currentTarget }) => choose(currentTarget.value)}>
              {channels.map(({ name }) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          )}
        </Field>
      )}
      <SchemaField
        key={channel?.name}
        schema={schemaOf(channel)}
        name={t('messages.message')}
        pointer="/message"
        value={content}
        isRequired
        errors={fieldErrors(error)}
        onChange={setContent}
      />
      <Options />
      {error !== undefined && <Failure error={error} />}
      <div class="actions">
        <Field label={t('send.copies')}>
          {(ids) => <input {...ids} name="copies" type="number" min={1} max={COPIES_MAX} defaultValue="1" required />}
        </Field>
        <button type="submit" class="button primary" disabled={left > 0}>
          {left > 0 ? t('send.busy', { count: left }) : t('send.submit')}
        </button>
      </div>
      <p class="quiet hint">{t('send.shortcut')}</p>
    </form>
  );
}

function Options(): JSX.Element {
  return (
    <>
      <Field label={t('send.wait')} hint={t('send.waitHint')}>
        {(ids) => (
          <select {...ids} name="waitMs">
            {WAITS.map(([value, key]) => (
              <option key={value} value={value}>
                {t(key)}
              </option>
            ))}
          </select>
        )}
      </Field>
      {session.value?.paidAccess && (
        <label class="check">
          <input type="checkbox" name="neverPay" />
          <span>{t('send.neverPay')}</span>
        </label>
      )}
      <label class="check">
        <input type="checkbox" name="inBackground" />
        <span>{t('send.inBackground')}</span>
      </label>
    </>
  );
}

function readForm(
  form: HTMLFormElement,
  content: unknown,
  channel: Channel | undefined,
): { message: () => OutgoingMessage; copies: number; inBackground: boolean } {
  const fields = new FormData(form);
  const waitMs = Number(fields.get('waitMs'));
  return {
    // The deadline counts from the moment each copy is sent.
    message: () => ({
      message: content,
      ...(channel && { channel: channel.name }),
      ...(waitMs > 0 && { deliverBy: new Date(gatewayTime() + waitMs).toISOString() }),
      ...(fields.has('neverPay') && { paid: 'never' as const }),
    }),
    copies: Number(fields.get('copies')),
    inBackground: fields.has('inBackground'),
  };
}

function contentFor(channel: Channel | undefined): unknown {
  return channel?.message === null || channel === undefined ? '' : initialValue(channel.message);
}

function schemaOf(channel: Channel | undefined): Schema {
  if (channel?.message == null) return { type: 'string', minLength: 1 };
  return channel.message;
}

/** The message itself is wrong: further copies would be as well. */
function isMistake(error: unknown): boolean {
  if (error === undefined) return false;
  return !(error instanceof ApiError) || error.status === 0 || [400, 401, 413, 415, 422].includes(error.status);
}

function fieldErrors(error: unknown): Map<string, string> {
  const errors = error instanceof ApiError ? (error.problem.errors ?? []) : [];
  return new Map(errors.map(({ pointer, detail }) => [pointer, detail]));
}

function submitOnCtrlEnter(event: KeyboardEvent): void {
  if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
  if (event.currentTarget instanceof HTMLFormElement) event.currentTarget.requestSubmit();
}
