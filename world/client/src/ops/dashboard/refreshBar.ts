/** Says when the numbers are from, and lets them be loaded again, or stay as they are. */

import { localize } from "../../i18n/localize.ts";
import { button, h } from "../../ui/dom.ts";
import { opsIcon } from "../dom.ts";
import { clock, zone } from "../format.ts";

export class RefreshBar {
  readonly element: HTMLElement;
  readonly #updated = h("span", { class: "updated" });
  readonly #pause: HTMLButtonElement;
  #at: Date | null = null;
  #isPaused = false;

  constructor(
    private readonly everyS: number,
    actions: { refresh(): void; pause(isPaused: boolean): void },
  ) {
    const toggle = (): void => {
      this.#isPaused = !this.#isPaused;
      this.show();
      actions.pause(this.#isPaused);
    };
    this.#pause = button({ class: "icon-button pause", onClick: toggle });
    const again = button({ class: "icon-button again", label: "ops.refresh", title: "ops.refresh", onClick: actions.refresh }, opsIcon("refresh"));
    this.element = h("div", { class: "refresh-bar" }, this.#updated, this.#pause, again);
    this.show();
  }

  /** The numbers have been loaded. */
  updated(at: Date): void {
    this.#at = at;
    this.show();
  }

  /** Show the state, in the language of now. */
  show(): void {
    const how = this.#isPaused ? "ops.updated.paused" : "ops.updated.every";
    if (this.#at) localize(this.#updated, { key: how, params: { time: clock(this.#at, true), zone: zone(this.#at), seconds: this.everyS } });
    const action = this.#isPaused ? "ops.resume" : "ops.pause";
    this.#pause.replaceChildren(opsIcon(this.#isPaused ? "play" : "pause"));
    localize(this.#pause, action, "aria-label");
    localize(this.#pause, action, "title");
  }
}
