/**
 * The items that `--only TEXT` selects: all whose name contains the text.
 * @throws RangeError when none does: a run of nothing must not report success
 */
export function select<Item>(text: string, items: readonly Item[], nameOf: (item: Item) => string): Item[] {
  const selected = items.filter((item) => nameOf(item).includes(text));
  if (selected.length > 0) return selected;
  const names = items.map((item) => `  ${nameOf(item)}`).join('\n');
  throw new RangeError(`--only "${text}" matches nothing. Use a part of one of these names:\n${names}`);
}
