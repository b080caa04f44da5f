import { z } from 'zod';

/** Points outside, hundredths of a point inside. The bound keeps sums of many amounts exact. */
export const pointsSchema = z
  .number()
  .positive('must be greater than 0')
  .max(1_000_000_000)
  .multipleOf(0.01, 'must have at most two decimals')
  .transform((points) => Math.round(points * 100));

export function pointsOf(hundredths: number): number {
  return hundredths / 100;
}

/** Whether a text is digits that end with their check digit (Luhn algorithm, ISO/IEC 7812-1). */
export function isOrderNumber(text: string): boolean {
  if (!/^\d{2,64}$/.test(text)) return false;
  const weighted = Array.from(text)
    .toReversed()
    .map((digit, index) => Number(digit) * (index % 2 === 1 ? 2 : 1));
  return weighted.reduce((sum, value) => sum + (value > 9 ? value - 9 : value), 0) % 10 === 0;
}
