/** The language that is shown, and its texts. */

import { en } from "./en.ts";
import { ko, type TextKey } from "./ko.ts";
import { particle } from "./particles.ts";

export type Language = "ko" | "en";
export type Params = Readonly<Record<string, string | number>>;

export const TEXTS: Readonly<Record<Language, Readonly<Record<TextKey, string>>>> = { ko, en };

let current: Language = "ko";
const listeners = new Set<(language: Language) => void>();

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

/** Return a text in the shown language, with its `{names}` filled in; `{name|이/가}` is followed by the fitting particle. */
export function text(key: TextKey, params: Params = {}): string {
  return filled(TEXTS[current][key], params);
}

function filled(pattern: string, params: Params): string {
  return pattern.replace(/\{(\w+)(?:\|([^}]+))?\}/g, (whole, name: string, forms: string | undefined) => {
    const value = String(params[name] ?? whole);
    return forms === undefined ? value : value + particle(value, forms);
  });
}
