import { expect, it } from '@jest/globals';
import { only } from './only.js';

const names = ['steady', 'steady, late', 'bursty'];
const itself = (name: string): string => name;

it('chooses by a part of the name, and everything by the empty text', () => {
  expect(only('steady', names, itself)).toEqual(['steady', 'steady, late']);
  expect(only('', names, itself)).toEqual(names);
});

it('refuses a text that is in no name, and tells the names', () => {
  expect(() => only('Steady', names, itself)).toThrow('--only "Steady" is in no name. There are:\n  steady\n');
});
