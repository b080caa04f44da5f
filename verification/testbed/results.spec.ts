import { expect, it } from '@jest/globals';
import { markdownOf, textOf } from './results.js';

const TABLE = { title: 'Sends', columns: ['who', 'count'], rows: [['octo', '7'], ['a peer', '-']], notes: ['ok'] }; // prettier-ignore

it('textOf aligns names to the left and numbers to the right', () => {
  expect(textOf(TABLE)).toBe('Sends\nwho     count\nocto        7\na peer      -\nok\n');
});

it('markdownOf writes a table that Markdown aligns the same way, and the notes as a list', () => {
  expect(markdownOf(TABLE)).toBe('## Sends\n\n| who | count |\n| :-- | --: |\n| octo | 7 |\n| a peer | - |\n\n- ok\n');
});
