/** The list of people: the bots first, then the players of the room, then the doors to the web. */

import type { Game } from "../../game/game.ts";
import { language, onLanguage } from "../../i18n/language.ts";
import { BOT_IDS, type BotId, type Player } from "../../net/messages.ts";
import { showChildren } from "../children.ts";
import { button, h } from "../dom.ts";
import { icon } from "../icons.ts";
import { webPortalDialog } from "../webPortal.ts";
import { BotCard, type BotCardActions } from "./botCard.ts";
import { ownRow, PlayerRow, type PlayerActions } from "./playerRow.ts";

export class PeoplePanel {
  readonly element: HTMLElement;
  readonly #cards = new Map<BotId, BotCard>();
  readonly #players = h("ul", { class: "players" });
  readonly #rows = new Map<number, PlayerRow>();
  #own: { key: string; element: HTMLElement } | null = null;
  readonly #alone = h("p", { class: "hint", text: "people.alone" });
  readonly #doors = h("ul", { class: "doors" });
  readonly #doorsPart: HTMLElement;
  #isOpen = false;

  /** @param onClose is called when the player closes the panel. */
  constructor(
    private readonly game: Game,
    private readonly actions: PlayerActions & BotCardActions,
    private readonly onClose: () => void,
  ) {
    const bots = h("ul", { class: "bots" });
    for (const bot of BOT_IDS) {
      const card = new BotCard(bot, actions);
      this.#cards.set(bot, card);
      bots.append(card.element);
    }
    const close = button({ class: "icon-button close", label: "close", onClick: () => this.close() }, icon("close"));
    this.#doorsPart = h("div", { class: "doors-part" }, h("h2", { text: "web.list" }), this.#doors);
    this.element = h(
      "aside",
      { class: "people", id: "people", label: "people.title", attributes: { tabindex: "-1" } },
      h("div", { class: "people-head" }, h("h2", { text: "people.bots" }), close),
      bots,
      h("h2", { text: "people.players" }),
      this.#players,
      this.#alone,
      this.#doorsPart,
    );
    game.model.onChange((part) => (part === "bots" ? this.#showBots() : part !== "rooms" && this.#showPlayers()));
    game.askers.onChange((bot) => this.#cards.get(bot)?.showAskers(game.askers.of(bot)));
    for (const list of [game.blocked, game.muted]) list.onChange(() => this.#showPlayers());
    onLanguage(() => this.#showDoors());
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  open(): void {
    this.#isOpen = true;
    this.element.classList.add("open");
    this.element.focus();
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.element.classList.remove("open");
    this.onClose();
  }

  /** Show everything again, for example after the session is known. */
  refresh(): void {
    this.#showBots();
    this.#showPlayers();
    this.#showDoors();
  }

  #showBots(): void {
    for (const [bot, card] of this.#cards) {
      card.show(this.game.model.bots.get(bot) ?? { bot, stage: "asleep", version: 0, learned: 0 });
    }
  }

  #showPlayers(): void {
    const { players } = this.game.model;
    for (const seat of this.#rows.keys()) if (!players.has(seat)) this.#rows.delete(seat);
    const rows = [...players.values()].sort((a, b) => a.name.localeCompare(b.name, "ko")).map((player) => this.#rowOf(player));
    showChildren(this.#players, [...this.#ownRow(), ...rows]);
    this.#alone.hidden = players.size > 0;
  }

  #rowOf(player: Player): HTMLElement {
    const row = this.#rows.get(player.seat) ?? new PlayerRow(player, this.actions);
    this.#rows.set(player.seat, row);
    row.show(player, { blocked: this.game.blocked.has(player), muted: this.game.muted.has(player) });
    return row.element;
  }

  #ownRow(): HTMLElement[] {
    const { me, avatar } = this.game.model;
    if (!me) return [];
    const key = JSON.stringify([me.name, avatar?.look]);
    if (this.#own?.key !== key) this.#own = { key, element: ownRow(me.name, avatar?.look) };
    return [this.#own.element];
  }

  #showDoors(): void {
    const { portals } = this.game.session;
    this.#doorsPart.hidden = portals.length === 0;
    this.#doors.replaceChildren(
      ...portals.map((portal) =>
        h("li", {}, button({ class: "door-link", onClick: () => webPortalDialog(portal) }, icon("globe"), portal[language()])),
      ),
    );
  }
}
