/** Korean particles, which depend on how the word before them ends: 마루를, 별똥별을; 언덕으로, 호수로, 별로. */

const FIRST_SYLLABLE = 0xac00;
const LAST_SYLLABLE = 0xd7a3;
const FINALS = 28;
const RIEUL = 8;
/** The final consonants of the digits as they are read: 영 일 이 삼 사 오 육 칠 팔 구. */
const DIGIT_FINALS = [21, RIEUL, 0, 16, 0, 0, 1, RIEUL, RIEUL, 0];

/**
 * Return the particle for a word.
 *
 * @param forms the form after a consonant and the one after a vowel, such as `을/를`, `이/가` or `으로/로`.
 */
export function particle(word: string, forms: string): string {
  const [afterConsonant = "", afterVowel = ""] = forms.split("/");
  const final = finalOf(word);
  if (final === null) return `${afterConsonant}(${afterVowel})`; // How a foreign word is read is not known.
  const isVowel = final === 0 || (final === RIEUL && afterConsonant === "으로");
  return isVowel ? afterVowel : afterConsonant;
}

/** Return the number of the word's final consonant, 0 for none; null if it ends neither in a syllable nor in a digit. */
function finalOf(word: string): number | null {
  const last = [...word.normalize("NFC")].findLast((character) => /[\p{L}\p{N}]/u.test(character)) ?? "";
  const code = last.charCodeAt(0);
  if (code >= FIRST_SYLLABLE && code <= LAST_SYLLABLE) return (code - FIRST_SYLLABLE) % FINALS;
  return DIGIT_FINALS[/^\d$/.test(last) ? Number(last) : -1] ?? null;
}
