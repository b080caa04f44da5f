const SEGMENTER = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/** Text whose every character is a grapheme of its own: ASCII without CR, which CR LF would join. */
const PLAIN = /^[\t\n -~]*$/;

/** In UTF-16 units. Segmenting takes time quadratic in the length, so long texts are segmented in pieces. */
const PIECE_LENGTH = 512;

/** Reverses a text by its extended grapheme clusters (Unicode UAX #29), the characters that people see. */
export function reverseGraphemes(text: string): string {
  const graphemes = PLAIN.test(text) ? text.split('') : splitGraphemes(text);
  return graphemes.toReversed().join('');
}

/**
 * The end of a grapheme cluster depends only on the cluster itself and the next character. So a piece that starts at a
 * boundary yields correct clusters, except its last one, with which the next piece starts.
 */
function splitGraphemes(text: string): string[] {
  const graphemes: string[] = [];
  let start = 0;
  let length = PIECE_LENGTH;
  while (start < text.length) {
    const end = endOfCodePoint(text, start + length);
    const piece = Array.from(SEGMENTER.segment(text.slice(start, end)), ({ segment }) => segment);
    if (end < text.length) piece.pop();
    for (const grapheme of piece) {
      graphemes.push(grapheme);
      start += grapheme.length;
    }
    // A cluster may be longer than a piece: double the piece.
    length = piece.length === 0 ? length * 2 : PIECE_LENGTH;
  }
  return graphemes;
}

/** `end`, or one more where that would cut a surrogate pair in two. */
function endOfCodePoint(text: string, end: number): number {
  return (text.codePointAt(end - 1) ?? 0) > 0xffff ? end + 1 : end;
}
