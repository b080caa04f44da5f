import { expect, it } from '@jest/globals';
import { select } from './select.js';

const names = ['steady', 'steady, late', 'bursty'];
const itself = (name: string): string => name;

it('select returns the items whose name contains the text, and all items for an empty text', () => {
  expect(select('steady', names, itself)).toEqual(['steady', 'steady, late']);
  expect(select('', names, itself)).toEqual(names);
});

it('select rejects a text that matches no name, and lists the names', () => {
  expect(() => select('Steady', names, itself)).toThrow('--only "Steady" matches nothing');
});
