/** Texts of elements that follow the language: each element remembers which text it shows, and where. */

import { language, onLanguage, text, type Language, type Params, type TextKey } from "./language.ts";

/** Where a text goes: the content of the element, or an attribute. */
export type Target = "content" | "aria-label" | "placeholder" | "title" | "label";

/** A text in both languages, which is not one of the page's own. */
export type InBoth = Readonly<Record<Language, string>>;

/** A text, or one with values to fill in. A value may itself be the key of a text. */
export type Wording = TextKey | { key: TextKey; params?: Params; keys?: Readonly<Record<string, TextKey>> } | InBoth;

const MARK = "data-text";
const wordingsByElement = new WeakMap<Element, Map<Target, Wording>>();

/** Return a wording in the shown language. */
export function worded(wording: Wording): string {
  if (typeof wording === "string") return text(wording);
  if ("ko" in wording) return wording[language()];
  const keys = Object.entries(wording.keys ?? {}).map(([name, key]) => [name, text(key)] as const);
  return text(wording.key, { ...wording.params, ...Object.fromEntries(keys) });
}

/** Show a text in an element, now and after each change of the language. */
export function localize(element: Element, wording: Wording, target: Target = "content"): void {
  const wordings = wordingsByElement.get(element) ?? new Map<Target, Wording>();
  wordings.set(target, wording);
  wordingsByElement.set(element, wordings);
  element.setAttribute(MARK, "");
  show(element, wording, target);
}

/** Show a text that does not follow the language any more, such as what a player wrote. */
export function fix(element: Element, content: string): void {
  wordingsByElement.get(element)?.delete("content");
  element.textContent = content;
}

function show(element: Element, wording: Wording, target: Target): void {
  if (target === "content") element.textContent = worded(wording);
  else element.setAttribute(target, worded(wording));
}

onLanguage(() => {
  if (typeof document === "undefined") return;
  for (const element of document.querySelectorAll(`[${MARK}]`)) {
    for (const [target, wording] of wordingsByElement.get(element) ?? []) show(element, wording, target);
  }
});
