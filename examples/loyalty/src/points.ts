import { z } from 'zod';

/** Points outside, hundredths of a point inside. The bound keeps sums of many amounts exact. */
export const pointsSchema = z
  .number()
  .positive('must be greater than 0')
  .max(1_000_000_000)
  .multipleOf(0.01, 'must have at most two decimals')
  .transform((points) => Math.round(points * 100));

/** @param hundredths as the program or Postgres writes them */
export function pointsOf(hundredths: number | string): number {
  return Number(hundredths) / 100;
}
