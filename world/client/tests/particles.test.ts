/** Particles follow the final sound of the word before them. */

import { afterEach, expect, test } from "vitest";
import "../src/i18n/worldTexts.ts";
import { particle } from "../src/i18n/particles.ts";
import { setLanguage, text } from "../src/i18n/language.ts";

afterEach(() => setLanguage("ko"));

test.each([
  ["마루", "을/를", "를"],
  ["별똥별", "을/를", "을"],
  ["설이", "이/가", "가"],
  ["예빈", "이/가", "이"],
  ["은하광장", "으로/로", "으로"],
  ["달빛호수", "으로/로", "로"],
  ["별", "으로/로", "로"],
  ["1", "으로/로", "로"],
  ["방 3", "으로/로", "으로"],
  ["2", "이/가", "가"],
  ["0", "을/를", "을"],
  ["“마루”", "을/를", "를"],
  ["예빈".normalize("NFD"), "을/를", "을"],
  ["Sam", "을/를", "을(를)"],
  ["★", "이/가", "이(가)"],
  ["", "이/가", "이(가)"],
])("after %j, %s is %s", (word, forms, expected) => {
  expect(particle(word, forms)).toBe(expected);
});

test("texts choose the particle of what is filled in", () => {
  expect(text("prompt.portal", { place: "은하광장" })).toBe("은하광장으로 가는 문");
  expect(text("prompt.portal", { place: "달빛호수" })).toBe("달빛호수로 가는 문");
  setLanguage("en");
  expect(text("prompt.portal", { place: "the lake" })).toBe("Door to the lake");
});
