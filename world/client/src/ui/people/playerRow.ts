/** A player in the list of people, with buttons to whisper, block and report, and one for everything else. */

import { localize } from "../../i18n/localize.ts";
import type { Player } from "../../net/messages.ts";
import type { Look } from "../../scene/api.ts";
import { button, h } from "../dom.ts";
import { figure } from "../figure.ts";
import { icon } from "../icons.ts";

export interface PlayerActions {
  whisper(player: Player): void;
  /** Block or unblock. */
  block(player: Player, blocked: boolean): void;
  report(player: Player): void;
  /** Show what can be done with the player. */
  card(player: Player): void;
}

/** What this player has decided about another one. */
export interface Marks {
  blocked: boolean;
  muted: boolean;
}

/** The row of another player. It changes in place, so that the focus stays on its buttons. */
export class PlayerRow {
  readonly element: HTMLElement;
  readonly #figure = h("span", { class: "row-figure" });
  readonly #name: HTMLButtonElement;
  readonly #mark = h("span", { class: "mark" });
  readonly #whisper: HTMLButtonElement;
  readonly #block: HTMLButtonElement;
  readonly #report: HTMLButtonElement;
  #marks: Marks = { blocked: false, muted: false };
  #look: Look | null = null;

  constructor(
    private player: Player,
    actions: PlayerActions,
  ) {
    this.#name = button({ class: "player-name", onClick: () => actions.card(this.player) });
    this.#whisper = button({ class: "small-icon", title: "people.whisperShort", onClick: () => actions.whisper(this.player) }, icon("whisper"));
    this.#block = button({ class: "small-icon", onClick: () => actions.block(this.player, !this.#marks.blocked) }, icon("block"));
    this.#report = button({ class: "small-icon", title: "people.reportShort", onClick: () => actions.report(this.player) }, icon("report"));
    this.element = h(
      "li",
      { class: "player-row", attributes: { "data-seat": String(player.seat) } },
      this.#figure,
      this.#name,
      this.#mark,
      h("div", { class: "row-buttons" }, this.#whisper, this.#block, this.#report),
    );
  }

  /** Show the player as it is now. */
  show(player: Player, marks: Marks): void {
    const params = { name: player.name };
    this.player = player;
    this.#marks = marks;
    if (player.look !== this.#look) this.#figure.replaceChildren(figure(player.look));
    this.#look = player.look;
    this.#name.textContent = player.name;
    localize(this.#name, { key: "people.card", params }, "title");
    localize(this.#whisper, { key: "people.whisper", params }, "aria-label");
    localize(this.#report, { key: "people.report", params }, "aria-label");
    localize(this.#block, { key: marks.blocked ? "people.unblock" : "people.block", params }, "aria-label");
    localize(this.#block, marks.blocked ? "people.unblockShort" : "people.blockShort", "title");
    this.#block.setAttribute("aria-pressed", String(marks.blocked));
    this.element.classList.toggle("blocked", marks.blocked);
    this.#mark.hidden = !marks.muted;
    localize(this.#mark, "people.isMuted");
  }
}

/** Return the row of this player. */
export function ownRow(name: string, look: Look | undefined): HTMLElement {
  const mark = h("span", { class: "mark" });
  localize(mark, "people.me");
  return h("li", { class: "player-row own" }, ...(look ? [figure(look)] : []), h("span", { class: "player-name" }, name), mark);
}
