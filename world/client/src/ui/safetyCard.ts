/** The calm card for a safety answer. It stays until the player presses its button, and is not part of the chat.
 *
 * It is modal and takes the focus, so that screen readers say it at once, also above another dialog. The focus is on the
 * title and not on the button: a key that the player presses while it opens must not close it.
 */

import type { SafetyNotes } from "../model/safetyNotes.ts";
import { localize } from "../i18n/localize.ts";
import type { Answered } from "../net/messages.ts";
import { insist } from "./dialog.ts";
import { botNameKey } from "./names.ts";
import { button, h } from "./dom.ts";
import { icon } from "./icons.ts";
import { textPieces } from "./phoneNumbers.ts";

export class SafetyCard {
  readonly element: HTMLDialogElement;
  readonly #title = h("h2", { id: "safety-title", attributes: { tabindex: "-1", autofocus: "" } });
  readonly #texts = h("div", { class: "safety-texts", id: "safety-texts" });

  /**
   * @param notes keeps what is shown, so that a reload does not close the card.
   * @param onClose is called after the player has closed the card.
   */
  constructor(
    private readonly notes: SafetyNotes,
    onClose: () => void,
  ) {
    const close = (): void => {
      notes.forget();
      this.hide();
      onClose();
    };
    this.element = h(
      "dialog",
      { class: "safety", attributes: { role: "alertdialog", "aria-labelledby": this.#title.id, "aria-describedby": this.#texts.id } },
      this.#title,
      this.#texts,
      h("p", { class: "hint", text: "safety.private" }),
      button({ class: "primary", text: "close", onClick: close }),
    );
    insist(this.element);
  }

  /** Show an answer, above those that are still open. */
  show(answer: Answered): void {
    this.notes.add(answer);
    this.showKept();
  }

  /** Show the answers that the player has not closed, for example before a reload. */
  showKept(): void {
    const [latest] = this.notes.notes;
    if (!latest) return;
    localize(this.#title, { key: "safety.title", keys: { bot: botNameKey(latest.bot) } });
    this.#texts.replaceChildren(...this.notes.notes.map(({ text }) => h("p", {}, ...piecesOf(text))));
    if (!this.element.open) this.element.showModal();
    this.#title.focus();
  }

  hide(): void {
    this.element.close();
  }
}

function piecesOf(text: string): (Node | string)[] {
  return textPieces(text).map(({ text: shown, number }) => (number ? callLink(shown, number) : shown));
}

function callLink(shown: string, number: string): HTMLElement {
  return h("a", { class: "call", attributes: { href: `tel:${number}` } }, icon("phone"), shown);
}
