/** The language that is shown, and its texts. */

import type { OpsKey } from "../ops/texts/ko.ts";
import type { TextKey as WorldKey } from "./ko.ts";
import { particle } from "./particles.ts";

export type Language = "ko" | "en";
export type Params = Readonly<Record<string, string | number>>;
export type TextKey = WorldKey | OpsKey;
export type Texts = Readonly<Record<Language, Readonly<Partial<Record<TextKey, string>>>>>;

/** Each page has its own texts, so that none loads another's. */
let texts: Texts = { ko: {}, en: {} };
let current: Language = "ko";
const listeners = new Set<(language: Language) => void>();

/** Choose the texts of this page. */
export function useTexts(chosen: Texts): void {
  texts = chosen;
}

/** Return the shown language. */
export function language(): Language {
  return current;
}

/** Return the language to begin with: Korean, unless the browser prefers English to it. */
export function preferredLanguage(languages: readonly string[]): Language {
  const known = languages.map((name) => name.slice(0, 2).toLowerCase()).filter((name) => name === "ko" || name === "en");
  return known[0] === "en" ? "en" : "ko";
}

/** Show another language. */
export function setLanguage(next: Language): void {
  current = next;
  for (const listener of listeners) listener(next);
}

/** Call a listener after each change of the language. */
export function onLanguage(listener: (language: Language) => void): void {
  listeners.add(listener);
}

/** Return whether this page has a text of this name. */
export function hasText(key: string): key is TextKey {
  return Object.hasOwn(texts[current], key);
}

/** Return a text in the shown language, with its `{names}` filled in; `{name|이/가}` is followed by the fitting particle. */
export function text(key: TextKey, params: Params = {}): string {
  return filled(texts[current][key] ?? key, params);
}

function filled(pattern: string, params: Params): string {
  return pattern.replace(/\{(\w+)(?:\|([^}]+))?\}/g, (whole, name: string, forms: string | undefined) => {
    const value = String(params[name] ?? whole);
    return forms === undefined ? value : value + particle(value, forms);
  });
}
