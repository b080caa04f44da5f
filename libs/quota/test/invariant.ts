/** What the engine said it would do, and did not. */
export class BrokenPromise extends Error {
  override name = 'BrokenPromise';
}

export function promise(kept: boolean, what: string): void {
  if (!kept) throw new BrokenPromise(what);
}
