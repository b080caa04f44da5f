/** The engine did not keep an invariant. */
export class InvariantViolation extends Error {
  override name = 'InvariantViolation';
}

export function invariant(holds: boolean, what: string): void {
  if (!holds) throw new InvariantViolation(what);
}
