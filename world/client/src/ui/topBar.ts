/** The bar at the top: where the player is, and the ways to everything else. */

import type { Game } from "../game/game.ts";
import type { TextKey } from "../i18n/ko.ts";
import { localize } from "../i18n/localize.ts";
import { language, onLanguage } from "../i18n/language.ts";
import { placeName } from "../model/places.ts";
import { button, h } from "./dom.ts";
import { icon, type IconName } from "./icons.ts";

export interface TopBarActions {
  rooms(): void;
  people(): void;
  view(): void;
  settings(): void;
  help(): void;
}

export class TopBar {
  readonly element: HTMLElement;
  readonly #place = h("span", { class: "place" });
  readonly #roomName = h("span", {});
  readonly #count = h("span", { class: "count" });
  readonly #view: HTMLButtonElement;
  readonly people: HTMLButtonElement;
  #placeId: string | null = null;

  constructor(
    private readonly game: Game,
    actions: TopBarActions,
  ) {
    const rooms = button(
      { class: "room-button", title: "top.rooms", onClick: actions.rooms },
      icon("door"),
      this.#roomName,
      this.#count,
      h("span", { class: "unseen", text: "top.rooms" }),
    );
    this.people = iconButton("people", "top.people", actions.people);
    this.#view = iconButton("list", "top.list", actions.view);
    this.element = h(
      "header",
      { class: "top-bar" },
      h("div", { class: "where" }, h("h1", { text: "world.name" }), this.#place, rooms),
      h(
        "nav",
        { label: "top.menu" },
        this.people,
        this.#view,
        iconButton("settings", "top.settings", actions.settings),
        iconButton("help", "top.help", actions.help),
      ),
    );
    game.model.onChange(() => this.#showRoom());
    onLanguage(() => this.#showPlace());
    this.#showRoom();
    this.showView(false);
  }

  /** Show the place that the player stands in; null for none. */
  place(id: string | null): void {
    this.#placeId = id;
    this.#showPlace();
  }

  #showPlace(): void {
    this.#place.textContent = this.#placeId === null ? "" : placeName(this.#placeId, language());
  }

  #showRoom(): void {
    const { room, seats, count } = this.game.model;
    localize(this.#roomName, { key: "top.room", params: { room } });
    localize(this.#count, { key: "top.count", params: { players: count, seats } });
  }

  /** Offer the view that is not shown. */
  showView(isList: boolean): void {
    const wording = isList ? "top.threeD" : "top.list";
    this.#view.replaceChildren(icon(isList ? "cube" : "list"));
    localize(this.#view, wording, "aria-label");
    localize(this.#view, wording, "title");
  }
}

function iconButton(name: IconName, wording: TextKey, onClick: () => void): HTMLButtonElement {
  return button({ class: "icon-button", label: wording, title: wording, onClick }, icon(name));
}
