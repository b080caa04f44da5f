import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { t } from '../../i18n/i18n.js';
import { Field, type Ids } from '../../ui/field.js';
import { isRecord, kindOf, type Schema } from './schema.js';

interface Props {
  schema: Schema;
  name: string;
  /** JSON pointer, as the problems of the API name it. */
  pointer: string;
  value: unknown;
  isRequired: boolean;
  errors: ReadonlyMap<string, string>;
  onChange: (value: unknown) => void;
}

/** A control for one part of a message. `undefined` stands for a field that is left out. */
export function SchemaField(props: Props): JSX.Element {
  const { schema, name, pointer, value, isRequired, errors, onChange } = props;
  const kind = kindOf(schema);
  if (kind === 'object') return <ObjectField {...props} />;
  if (kind === 'boolean') return <BooleanField {...props} />;
  return (
    <Field
      label={schema.title ?? name}
      hint={hintOf(schema, kind)}
      error={errors.get(pointer)}
      isOptional={!isRequired}
    >
      {(ids) => {
        const control = { ids, schema, value, isRequired, onChange };
        if (kind === 'choice') return <Choice {...control} />;
        if (kind === 'number') return <NumberInput {...control} />;
        if (kind === 'lines') return <Lines {...control} />;
        if (kind === 'json') return <Json {...control} />;
        return <Text {...control} isLong={kind === 'longText'} />;
      }}
    </Field>
  );
}

function hintOf({ description, maxLength, examples }: Schema, kind: string): string | undefined {
  const [example] = examples ?? [];
  const parts = [
    description,
    maxLength !== undefined && t('send.maxLength', { count: maxLength }),
    typeof example === 'string' && t('send.example', { example }),
    kind === 'lines' && t('send.onePerLine'),
    kind === 'json' && t('send.json'),
  ];
  return parts.filter(Boolean).join(' ') || undefined;
}

function ObjectField({ schema, name, pointer, value, errors, onChange }: Props): JSX.Element {
  const members = isRecord(value) ? value : {};
  const change = (member: string, next: unknown): void => {
    const { [member]: _before, ...rest } = members;
    onChange(next === undefined ? rest : { ...rest, [member]: next });
  };
  return (
    <fieldset>
      <legend>{schema.title ?? name}</legend>
      {Object.entries(schema.properties ?? {}).map(([member, part]) => (
        <SchemaField
          key={member}
          schema={part}
          name={member}
          pointer={`${pointer}/${member.replaceAll('~', '~0').replaceAll('/', '~1')}`}
          value={members[member]}
          isRequired={schema.required?.includes(member) ?? false}
          errors={errors}
          onChange={(next) => change(member, next)}
        />
      ))}
    </fieldset>
  );
}

function BooleanField({ schema, name, value, onChange }: Props): JSX.Element {
  return (
    <label class="check">
      <input
        type="checkbox"
        checked={value === true}
        onChange={(event) => onChange(event.currentTarget.checked ? true : undefined)}
      />
      <span>
        {schema.title ?? name}
        {schema.description && <span class="quiet hint">{schema.description}</span>}
      </span>
    </label>
  );
}

interface ControlProps {
  ids: Ids;
  schema: Schema;
  value: unknown;
  isRequired: boolean;
  onChange: (value: unknown) => void;
}

function Text({ ids, schema, value, isRequired, onChange, isLong }: ControlProps & { isLong: boolean }): JSX.Element {
  const { minLength, maxLength, pattern, format } = schema;
  const common = {
    ...ids,
    value: typeof value === 'string' ? value : '',
    required: isRequired && minLength !== 0,
    minLength,
    maxLength,
    onInput: (event: { currentTarget: { value: string } }) =>
      onChange(textOrNothing(event.currentTarget.value, isRequired)),
  };
  if (isLong) return <textarea {...common} rows={3} />;
  const withPattern = { ...common, ...(pattern && { pattern }) };
  if (format === 'email') return <input {...withPattern} type="email" />;
  if (format === 'uri') return <input {...withPattern} type="url" />;
  return <input {...withPattern} type="text" />;
}

function textOrNothing(text: string, isRequired: boolean): string | undefined {
  return text === '' && !isRequired ? undefined : text;
}

function NumberInput({ ids, schema, value, isRequired, onChange }: ControlProps): JSX.Element {
  const { minimum, maximum, type } = schema;
  return (
    <input
      {...ids}
      type="number"
      value={typeof value === 'number' ? value : ''}
      required={isRequired}
      step={type === 'integer' ? 1 : 'any'}
      {...(minimum !== undefined && { min: minimum })}
      {...(maximum !== undefined && { max: maximum })}
      onInput={({ currentTarget }) => onChange(currentTarget.value === '' ? undefined : currentTarget.valueAsNumber)}
    />
  );
}

function Choice({ ids, schema, value, isRequired, onChange }: ControlProps): JSX.Element {
  const options = schema.enum ?? [];
  return (
    <select
      {...ids}
      value={value === undefined ? '' : String(options.indexOf(value))}
      required={isRequired}
      onChange={({ currentTarget }) =>
        onChange(currentTarget.value === '' ? undefined : options[Number(currentTarget.value)])
      }
    >
      <option value="">{t('send.choose')}</option>
      {options.map((option, index) => (
        <option key={index} value={String(index)}>
          {String(option)}
        </option>
      ))}
    </select>
  );
}

function Lines({ ids, value, isRequired, onChange }: ControlProps): JSX.Element {
  const change = (text: string): void => {
    const lines = text.split('\n').filter((line) => line !== '');
    onChange(lines.length === 0 && !isRequired ? undefined : lines);
  };
  return (
    <textarea
      {...ids}
      rows={3}
      required={isRequired}
      defaultValue={Array.isArray(value) ? value.join('\n') : ''}
      onInput={({ currentTarget }) => change(currentTarget.value)}
    />
  );
}

/** What the form has no control for. Text that is not JSON yet is not part of the message. */
function Json({ ids, value, isRequired, onChange }: ControlProps): JSX.Element {
  const [text, setText] = useState(value === undefined ? '' : JSON.stringify(value, null, 2));
  const change = (control: HTMLTextAreaElement): void => {
    setText(control.value);
    control.setCustomValidity('');
    try {
      onChange(control.value.trim() === '' ? undefined : (JSON.parse(control.value) as unknown));
    } catch {
      control.setCustomValidity(t('send.badJson'));
    }
  };
  return (
    <textarea
      {...ids}
      class="code"
      rows={4}
      required={isRequired}
      spellcheck={false}
      value={text}
      onInput={({ currentTarget }) => change(currentTarget)}
    />
  );
}
