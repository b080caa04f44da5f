/**
 * How many of these arrivals a sender could have had accepted that knows everything and reaches the provider in no
 * time: the most there is, as a slot not used at once is never worth more later.
 */
export function clairvoyantAccepts(
  arrivalsMs: readonly number[],
  { limit, blockMs }: { limit: number; blockMs: number },
): number {
  let accepted = 0;
  let inWindow = 0;
  let blockedUntilMs = -Infinity;
  for (const atMs of arrivalsMs.toSorted((one, other) => one - other)) {
    if (atMs < blockedUntilMs) continue;
    accepted += 1;
    inWindow += 1;
    if (inWindow < limit) continue;
    inWindow = 0;
    blockedUntilMs = atMs + blockMs;
  }
  return accepted;
}
