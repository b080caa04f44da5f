import { describe, expect, it } from '@jest/globals';
import jsonata from 'jsonata';
import { seededRandom } from '../../../../verification/prove/seeded-random.js';
import { compilePath, UNDECIDED } from './compile-path.js';

const NAMES = ['a', 'b', 'in', 'length'];

describe('compilePath', () => {
  it('finds what JSONata finds, or leaves it to JSONata', async () => {
    const random = seededRandom(1);
    const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random() * items.length)] as Item;
    const valueOf = (depth: number): unknown => {
      const kind = random();
      if (depth === 0 || kind < 0.3) return pick([1, 0, 'text', '', true, false, null]);
      if (kind < 0.5) return Array.from({ length: Math.floor(random() * 3) }, () => valueOf(depth - 1));
      return Object.fromEntries(NAMES.filter(() => random() < 0.6).map((name) => [name, valueOf(depth - 1)]));
    };
    const pathOf = (): string =>
      Array.from({ length: 1 + Math.floor(random() * 3) }, () => pick(NAMES) + pick(['', '', '[0]', '[1]'])).join('.');
    let decided = 0;
    for (let count = 0; count < 3_000; count += 1) {
      const [path, input] = [pathOf(), valueOf(4)];
      const lookUp = compilePath(path);
      if (lookUp === undefined || lookUp(input) === UNDECIDED) continue;
      decided += 1;
      const expected: unknown = await jsonata(path).evaluate(input);
      expect({ path, input, found: lookUp(input) }).toEqual({ path, input, found: expected });
    }
    expect(decided).toBeGreaterThan(1_000);
  });

  it.each(['a.b[-1]', '$.a', 'a + b', 'a.*', '"a"', 'a[b=1]', 'a.in', 'true', '`a b`', 'a.b()', ''])(
    'leaves %s to JSONata',
    (source) => {
      expect(compilePath(source)).toBeUndefined();
    },
  );
});
