/** The calm card for a safety answer. It stays until the player closes it, and is not part of the chat. */

import { localize } from "../i18n/localize.ts";
import type { Answered } from "../net/messages.ts";
import { botNameKey } from "./names.ts";
import { button, h } from "./dom.ts";
import { icon } from "./icons.ts";
import { textPieces } from "./phoneNumbers.ts";

export class SafetyCard {
  readonly element: HTMLElement;
  readonly #title = h("h2", { id: "safety-title" });
  readonly #texts = h("div", { class: "safety-texts" });

  /** @param onClose is called after the player has closed the card. */
  constructor(onClose: () => void) {
    const close = button({ class: "primary", text: "close", onClick: () => this.#close(onClose) });
    this.element = h(
      "section",
      { class: "safety", attributes: { role: "region", "aria-labelledby": "safety-title" } },
      h("div", { attributes: { "aria-live": "polite" } }, this.#title, this.#texts),
      h("p", { class: "hint", text: "safety.private" }),
      close,
    );
    this.element.hidden = true;
  }

  /** Show an answer, above one that is still open. */
  show(answer: Answered): void {
    this.element.hidden = false;
    localize(this.#title, { key: "safety.title", keys: { bot: botNameKey(answer.bot) } });
    this.#texts.prepend(h("p", {}, ...piecesOf(answer.text)));
  }

  #close(onClose: () => void): void {
    this.element.hidden = true;
    this.#texts.replaceChildren();
    onClose();
  }
}

function piecesOf(text: string): (Node | string)[] {
  return textPieces(text).map(({ text: shown, number }) => (number ? callLink(shown, number) : shown));
}

function callLink(shown: string, number: string): HTMLElement {
  return h("a", { class: "call", attributes: { href: `tel:${number}` } }, icon("phone"), shown);
}
