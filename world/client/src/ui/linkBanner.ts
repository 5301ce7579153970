/** Says when the connection is lost, was taken over by another tab, or was closed because of too many messages. */

import type { LinkState } from "../net/connection.ts";
import { localize } from "../i18n/localize.ts";
import { insist } from "./dialog.ts";
import { button, h } from "./dom.ts";

/** Short losses are not worth a word. */
const SHOWN_AFTER_MS = 2_000;
const SECOND_MS = 1_000;

/** Return whether the connection is lost and comes back by itself, perhaps once the gateway lets the player in again. */
export function isOnTheWay({ is }: LinkState): boolean {
  return is === "offline" || is === "connecting" || is === "waiting";
}

export class LinkBanner {
  readonly element = h("div", { class: "link-banner", attributes: { role: "status", "aria-live": "polite" } });
  readonly #cover = h("dialog", { class: "link-cover", attributes: { role: "alertdialog", "aria-labelledby": "link-title", "aria-describedby": "link-about" } });
  #timer: number | null = null;

  /** @param comeBack connects again. */
  constructor(private readonly comeBack: () => void) {
    this.element.hidden = true;
    insist(this.#cover);
  }

  /** The part that covers the world while the player cannot be in it. */
  get cover(): HTMLDialogElement {
    return this.#cover;
  }

  show(state: LinkState): void {
    this.#stop();
    this.element.hidden = true;
    this.#cover.close();
    if (isOnTheWay(state)) this.#later(SHOWN_AFTER_MS, () => this.#showOffline());
    else if (state.is === "replaced") this.#showReplaced();
    else if (state.is === "flooding") this.#showFlooding(state.waitS);
  }

  #showOffline(): void {
    this.element.replaceChildren(h("p", { text: "link.offline" }));
    this.element.hidden = false;
  }

  #showReplaced(): void {
    const back = button({ class: "primary", text: "link.comeBack", onClick: this.comeBack });
    this.#showCover(h("h2", { id: "link-title", text: "link.replaced" }), h("p", { id: "link-about", text: "link.replacedAbout" }), back);
    back.focus();
  }

  #showFlooding(waitS: number): void {
    const back = button({ class: "primary", text: "link.comeBack", onClick: this.comeBack });
    const wait = h("p", { class: "hint" });
    back.disabled = true;
    this.#showCover(h("h2", { id: "link-title", text: "link.flooding" }), h("p", { id: "link-about", text: "link.floodingAbout" }), wait, back);
    const count = (leftS: number): void => {
      back.disabled = leftS > 0;
      if (leftS <= 0) {
        wait.replaceChildren();
        back.focus();
        return;
      }
      localize(wait, { key: "wait", params: { wait: leftS } });
      this.#later(SECOND_MS, () => count(leftS - 1));
    };
    count(Math.ceil(waitS));
  }

  #showCover(...content: HTMLElement[]): void {
    this.#cover.replaceChildren(h("div", { class: "card" }, ...content));
    if (!this.#cover.open) this.#cover.showModal();
  }

  #later(ms: number, action: () => void): void {
    this.#timer = window.setTimeout(action, ms);
  }

  #stop(): void {
    if (this.#timer !== null) window.clearTimeout(this.#timer);
    this.#timer = null;
  }
}
