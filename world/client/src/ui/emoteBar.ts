/** The bar of gestures. On small screens it folds into one button. */

import { EMOTES } from "../net/messages.ts";
import type { EmoteKind } from "../scene/api.ts";
import { button, h } from "./dom.ts";
import { icon } from "./icons.ts";

/** Return the bar. */
export function emoteBar(emote: (kind: EmoteKind) => void): HTMLElement {
  const fold = button(
    { class: "emote-fold", label: "emote.title", title: "emote.title", attributes: { "aria-expanded": "false" } },
    icon("wave"),
  );
  const bar = h("div", { class: "emotes", label: "emote.title", attributes: { role: "group" } }, fold);
  const show = (isOpen: boolean): void => {
    bar.classList.toggle("open", isOpen);
    fold.setAttribute("aria-expanded", String(isOpen));
  };
  fold.addEventListener("click", () => show(!bar.classList.contains("open")));
  const list = h("div", { class: "emote-list" });
  for (const [index, kind] of EMOTES.entries()) {
    const act = (): void => {
      emote(kind);
      show(false);
    };
    const attributes = { "data-key": String(index + 1) };
    list.append(button({ class: "emote", label: `emote.${kind}`, title: `emote.${kind}`, attributes, onClick: act }, icon(kind)));
  }
  bar.append(list);
  return bar;
}
