/**
 * What `--only TEXT` chooses: whatever has the text in its name.
 * @throws RangeError when nothing has: where nothing was run, nothing may be said to hold
 */
export function only<Item>(text: string, items: readonly Item[], nameOf: (item: Item) => string): Item[] {
  const chosen = items.filter((item) => nameOf(item).includes(text));
  if (chosen.length > 0) return chosen;
  throw new RangeError(
    `--only "${text}" is in no name. There are:\n${items.map((item) => `  ${nameOf(item)}`).join('\n')}`,
  );
}
