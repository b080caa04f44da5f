import { describe, expect, it } from '@jest/globals';
import { array, assert, constantFrom, property } from 'fast-check';
import { reverseGraphemes } from './reverse-graphemes.js';

/** Parts that join and break clusters: joiners, marks, flags, skin tones, Hangul, conjuncts, line ends, a lone surrogate. */
const PARTS = [
  'a',
  ' ',
  '\r',
  '\n',
  '\u0301',
  '\u200d',
  '\ufe0f',
  '👩',
  '👧',
  '🏽',
  '🇩',
  '🇪',
  'ᄀ',
  'ᅡ',
  'ᆨ',
  'क',
  '्',
  'ष',
  '語',
  '\ud83d',
];
const trickyText = array(constantFrom(...PARTS), { minLength: 0, maxLength: 2_000, size: 'max' }).map((parts) =>
  parts.join(''),
);

describe('reverseGraphemes', () => {
  it.each([
    ['plain text', 'hello', 'olleh'],
    ['lines ended by LF', 'a\nb', 'b\na'],
    ['lines ended by CR LF', 'a\r\nb', 'b\r\na'],
    ['combining marks', 'Zoe\u0308!', '!e\u0308oZ'],
    ['a family emoji', '1👨‍👩‍👧‍👦2', '2👨‍👩‍👧‍👦1'],
    ['skin tones', '👍🏽👎🏿', '👎🏿👍🏽'],
    ['flags', '🇩🇪🇫🇷🇯🇵', '🇯🇵🇫🇷🇩🇪'],
    ['Hangul jamo', '한글', '글한'],
    ['a lone surrogate', 'a\ud83db', 'b\ud83da'],
    ['an empty text', '', ''],
  ])('reverses %s', (_what, text, reversed) => {
    expect(reverseGraphemes(text)).toBe(reversed);
  });

  it('finds the same clusters in pieces as in the whole text', () => {
    const segmenter = new Intl.Segmenter(undefined, { granularity: 'grapheme' });
    assert(
      property(trickyText, (text) => {
        const whole = Array.from(segmenter.segment(text), ({ segment }) => segment);
        expect(reverseGraphemes(text)).toBe(whole.toReversed().join(''));
      }),
      { numRuns: 200, interruptAfterTimeLimit: 5_000 },
    );
  });

  it('keeps a cluster whole that is longer than a piece', () => {
    const zalgo = `e${'\u0301'.repeat(5_000)}`;
    expect(reverseGraphemes(`a${zalgo}z`)).toBe(`z${zalgo}a`);
  });
});
