import { signal } from '@preact/signals';
import { en, type MessageKey, type Texts } from './en.js';

/** Forms of a text by the plural category of `count`. */
export type Plural = Partial<Record<Intl.LDMLPluralRule, string>> & { other: string };

type Values = Record<string, string | number>;

const LANGUAGES = ['en', 'ru', 'es'] as const;
export type Language = (typeof LANGUAGES)[number];

export const language = signal<Language>('en');
/** With the region of the browser, for numbers and times: British times have 24 hours. */
export const locale = signal('en');
let texts: Texts = en;
let plurals = new Intl.PluralRules('en');

/** The first language of the browser that the console speaks. */
function preferredLanguage(wanted: readonly string[]): Language {
  const codes = wanted.map((tag) => tag.split('-', 1)[0]);
  return codes.map((code) => LANGUAGES.find((known) => known === code)).find((found) => found !== undefined) ?? 'en';
}

export async function useLanguage(tags: readonly string[]): Promise<void> {
  const wanted = preferredLanguage(tags);
  if (wanted === 'ru') texts = (await import('./ru.js')).ru;
  else if (wanted === 'es') texts = (await import('./es.js')).es;
  else texts = en;
  plurals = new Intl.PluralRules(wanted);
  locale.value = tags.find((tag) => tag.split('-', 1)[0] === wanted) ?? wanted;
  language.value = wanted;
  document.documentElement.lang = wanted;
}

/** A text in the language of the page. `{name}` stands for a value; `count` chooses the plural form. */
export function t(key: MessageKey, values: Values = {}): string {
  const text = texts[key];
  const form = typeof text === 'string' ? text : formOf(text, Number(values['count']));
  return form.replaceAll(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ''));
}

function formOf(text: Plural, count: number): string {
  return text[plurals.select(count)] ?? text.other;
}

/** The text of a code that the API answered; undefined for a code of a later release. */
export function textOfCode(prefix: string, code: string): string | undefined {
  const text = (texts as Record<string, string | Plural | undefined>)[`${prefix}.${code}`];
  return typeof text === 'string' ? text : undefined;
}
