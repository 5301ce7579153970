/** Short messages that go away by themselves; screen readers say them. */

import type { Wording } from "../i18n/localize.ts";
import { h } from "./dom.ts";

const SHOWN_MS = 5_000;
const MOST = 3;

export class Toasts {
  readonly element = h("div", { class: "toasts", attributes: { role: "status", "aria-live": "polite" } });

  /** Show a message in the player's language. */
  show(wording: Wording): void {
    this.#add(h("p", { text: wording }));
  }

  /** Show a text that is ready to be read. */
  showText(text: string): void {
    this.#add(h("p", {}, text));
  }

  #add(message: HTMLElement): void {
    message.className = "toast";
    this.element.append(message);
    while (this.element.children.length > MOST) this.element.firstElementChild?.remove();
    setTimeout(() => message.remove(), SHOWN_MS);
  }
}
