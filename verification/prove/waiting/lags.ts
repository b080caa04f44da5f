import type { ProviderStats } from '#contracts';

/** From each reopening to the first request that the provider took then. */
export function lagsMs({ windows }: ProviderStats): number[] {
  return windows.slice(1).map(({ startedAt }, index) => {
    const { reopensAt } = windows[index] ?? {};
    return Date.parse(startedAt) - Date.parse(reopensAt ?? startedAt);
  });
}
