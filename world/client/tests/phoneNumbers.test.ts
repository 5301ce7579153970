/** Every number of the vetted texts can be called, and nothing else is taken for one. */

import { expect, test } from "vitest";
import texts from "../../../src/kogpt2_chat/domain/safety/safety_texts.json";
import { textPieces } from "../src/ui/phoneNumbers.ts";

function numbersOf(text: string): string[] {
  return textPieces(text).flatMap((piece) => piece.number ?? []);
}

test.each([
  ["자살예방 상담 109(24시간), 청소년 상담 1388, 지금 위험하다면 119", ["109", "1388", "119"]],
  ["지금 위험하다면 112나 119", ["112", "119"]],
  ["정신건강 상담 1577-0199.", ["15770199"]],
  ["서울 02-123-4567이나 010-1234-5678", ["021234567", "01012345678"]],
  ["+82-2-123-4567", ["+8221234567"]],
  ["24시간, 2026년, 300자, 100명, 5월 18일", []],
  ["1234567890", []],
])("%s", (text, expected) => {
  expect(numbersOf(text)).toEqual(expected);
});

test("the pieces make up the text", () => {
  const text = "자살예방 상담 109(24시간), 1577-0199";
  expect(textPieces(text).map((piece) => piece.text).join("")).toBe(text);
});

test.each(Object.entries(texts.lines.KR))("all numbers of the vetted lines in %s are found", (_language, lines) => {
  for (const line of Object.values(lines)) {
    const expected = [...line.matchAll(/\d{3,4}/g)].map(([number]) => number);
    expect(numbersOf(line)).toEqual(expected);
  }
});

test("the vetted texts have no number outside of their lines", () => {
  for (const byBot of Object.values(texts.texts)) {
    for (const byKind of Object.values(byBot)) for (const text of Object.values(byKind)) expect(numbersOf(text)).toEqual([]);
  }
});
