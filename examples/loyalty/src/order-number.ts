/** Whether a text is digits that end with their check digit (Luhn algorithm, ISO/IEC 7812-1). */
export function isOrderNumber(text: string): boolean {
  if (!/^\d{2,64}$/.test(text)) return false;
  const weighted = [...text].toReversed().map((digit, index) => Number(digit) * (index % 2 === 1 ? 2 : 1));
  return weighted.reduce((sum, value) => sum + (value > 9 ? value - 9 : value), 0) % 10 === 0;
}
