/** The switch between the languages; each is named in itself. */

import { language, type Language } from "../i18n/language.ts";
import { button, h } from "./dom.ts";

const NAMES: readonly [Language, string][] = [
  ["ko", "한국어"],
  ["en", "English"],
];

/** Return the switch. */
export function languageSwitch(choose: (language: Language) => void): HTMLElement {
  const element = h("div", { class: "languages", label: "language", attributes: { role: "group" } });
  const buttons = new Map<Language, HTMLButtonElement>();
  const show = (): void => {
    for (const [id, found] of buttons) found.setAttribute("aria-pressed", String(id === language()));
  };
  for (const [id, name] of NAMES) {
    const chosen = (): void => {
      choose(id);
      show();
    };
    buttons.set(id, button({ class: "language", attributes: { lang: id }, onClick: chosen }, name));
  }
  element.append(...buttons.values());
  show();
  return element;
}
