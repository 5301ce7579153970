/** Both languages have all texts, and every code of the protocol has one. */

import { afterEach, expect, test } from "vitest";
import { en } from "../src/i18n/en.ts";
import { ko } from "../src/i18n/ko.ts";
import { preferredLanguage, setLanguage, text } from "../src/i18n/language.ts";
import { TEXTS } from "../src/i18n/worldTexts.ts";
import { BOT_IDS, EMOTES, REASONS, SOURCES } from "../src/net/messages.ts";
import { refusalText, sourceKey, STAGE_ICONS } from "../src/ui/names.ts";

afterEach(() => setLanguage("ko"));

test("both languages have the same keys", () => {
  expect(Object.keys(en).sort()).toEqual(Object.keys(ko).sort());
});

test.each(Object.keys(ko))("%s has the same values to fill in, and a text in its own language", (key) => {
  const [korean, english] = [TEXTS.ko, TEXTS.en].map((texts) => texts[key as keyof typeof ko]) as [string, string];
  expect(namesIn(english)).toEqual(namesIn(korean));
  expect(english).not.toMatch(/[가-힣]/);
  expect(english.trim()).not.toBe("");
  expect(korean.trim()).not.toBe("");
});

test("every code of the protocol has a text", () => {
  const keys = new Set(Object.keys(ko));
  const codes = [
    ...REASONS.map((reason) => `reason.${reason}`),
    ...SOURCES.map((source) => `source.${source}`),
    ...Object.keys(STAGE_ICONS).map((stage) => `stage.${stage}`),
    ...EMOTES.map((kind) => `emote.${kind}`),
    ...BOT_IDS.flatMap((bot) => [`bot.${bot}`, `persona.${bot}`]),
    ...["timeout", "unknown", "refused"].map((reason) => `unanswered.${reason}`),
  ];
  expect(codes.filter((code) => !keys.has(code))).toEqual([]);
});

test("every text is used", () => {
  const files = import.meta.glob<string>(["../src/**/*.ts", "!../src/i18n/ko.ts", "!../src/i18n/en.ts", "!../src/scene/**", "!../src/ops/**"], {
    query: "?raw", import: "default", eager: true,
  });
  const source = Object.values(files).join("\n");
  const isUsed = (key: string): boolean => source.includes(`"${key}"`) || source.includes(`\`${key.split(".")[0]}.$\{`);
  expect(Object.keys(ko).filter((key) => !isUsed(key))).toEqual([]);
});

test("a refusal says how long to wait, in whole seconds", () => {
  expect(refusalText("too_fast", 0)).toBe(ko["reason.too_fast"]);
  expect(refusalText("too_fast", 1.2)).toContain("2초");
});

test("a source that a newer gateway adds has a text", () => {
  expect(sourceKey("something_new")).toBe("source.other");
  expect(sourceKey("nearest")).toBe("source.nearest");
});

test.each([
  [["ko-KR", "en-US"], "ko"],
  [["en-GB", "ko"], "en"],
  [["fr", "en"], "en"],
  [["fr", "ja"], "ko"],
  [[], "ko"],
])("a browser that prefers %j begins in %s", (languages, expected) => {
  expect(preferredLanguage(languages)).toBe(expected);
});

test("texts follow the language", () => {
  setLanguage("en");
  expect(text("chat.joined", { name: "예빈" })).toBe("예빈 has come in.");
});

function namesIn(pattern: string): string[] {
  return [...pattern.matchAll(/\{(\w+)(?:\|[^}]+)?\}/g)].map((match) => match[1] ?? "").sort();
}
