import { describe, expect, it } from '@jest/globals';
import { RememberedAnswers } from './remembered-answers.js';

function rememberAll(answers: RememberedAnswers, keys: string[], answer = 'x'): void {
  for (const key of keys) answers.add({ key, answer });
}

describe('RememberedAnswers', () => {
  it('forgets the oldest answer beyond maxAnswers', () => {
    const answers = new RememberedAnswers({ maxAnswers: 2, maxChars: 1_000 });
    rememberAll(answers, ['a', 'b', 'c']);
    expect(['a', 'b', 'c'].map((key) => answers.find(key))).toEqual([undefined, 'x', 'x']);
  });

  it('forgets as many of the oldest answers as maxChars requires', () => {
    const answers = new RememberedAnswers({ maxAnswers: 100, maxChars: 12 });
    rememberAll(answers, ['a', 'b', 'c'], '123');
    expect(answers.find('a')).toBe('123');
    answers.add({ key: 'd', answer: '1234567' });
    expect(['a', 'b', 'c', 'd'].map((key) => answers.find(key))).toEqual([undefined, undefined, '123', '1234567']);
  });

  it('stays within maxChars over many answers', () => {
    const answers = new RememberedAnswers({ maxAnswers: 100, maxChars: 8 });
    const keys = 'abcdefghij'.split('');
    rememberAll(answers, keys, '123');
    expect(keys.filter((key) => answers.find(key) !== undefined)).toEqual(['i', 'j']);
  });
});
