/** Finds telephone numbers in a text, so that they can be called with one touch. */

export interface TextPiece {
  text: string;
  /** The number to call, with digits only; undefined for other text. */
  number?: string;
}

/**
 * Numbers with hyphens such as 1577-0199, and short ones of three or four digits such as 109 and 1388. Amounts such as
 * 24시간 and 2026년 are none.
 */
const NUMBER = /(?<![\d+-])(?:\+\d{1,3}(?:-\d{1,4}){2,3}|\d{2,4}(?:-\d{3,4}){1,2}|\d{3,4})(?![\d-])(?!\s*(?:시간|분|초|년|월|일|원|명|번째|자|%|hours?|people|years?))/g;

/** Cut a text into numbers and what is between them. */
export function textPieces(text: string): TextPiece[] {
  const pieces: TextPiece[] = [];
  let end = 0;
  for (const match of text.matchAll(NUMBER)) {
    if (match.index > end) pieces.push({ text: text.slice(end, match.index) });
    pieces.push({ text: match[0], number: match[0].replace(/[^\d+]/g, "") });
    end = match.index + match[0].length;
  }
  if (end < text.length) pieces.push({ text: text.slice(end) });
  return pieces;
}
