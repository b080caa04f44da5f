const SEGMENTER = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/** Text in which every character stands for itself: ASCII, and no CR that could belong to a CR LF. */
const PLAIN = /^[\t\n -~]*$/;

/** Segmenting a string costs time quadratic in its length, so long texts are segmented in pieces. UTF-16 units. */
const PIECE_LENGTH = 512;

/** The text backwards, by what people take for one character: extended grapheme clusters of Unicode UAX #29. */
export function reverseGraphemes(text: string): string {
  const graphemes = PLAIN.test(text) ? text.split('') : splitGraphemes(text);
  return graphemes.toReversed().join('');
}

/**
 * Whether a grapheme cluster ends somewhere depends on its own beginning and on the next character only. So all
 * clusters of a piece are right if it starts where one does, except the last, which is taken up by the next piece.
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
    // A cluster may be longer than a piece: then look further.
    length = piece.length === 0 ? length * 2 : PIECE_LENGTH;
  }
  return graphemes;
}

/** `end`, or one more where that would cut a surrogate pair in two. */
function endOfCodePoint(text: string, end: number): number {
  return (text.codePointAt(end - 1) ?? 0) > 0xffff ? end + 1 : end;
}
