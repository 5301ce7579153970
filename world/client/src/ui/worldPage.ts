/** The page inside the world: the 3D stage or the list, and everything around it. */

import type { Game } from "../game/game.ts";
import { SceneHolder } from "../game/sceneHolder.ts";
import type { ListedPlayer } from "../model/playerList.ts";
import { BOT_IDS, type BotId, type Player } from "../net/messages.ts";
import type { EmoteKind, SceneEvents } from "../scene/api.ts";
import { bookDialog } from "./book.ts";
import { ChatPanel } from "./chat/chatPanel.ts";
import { isDialogOpen } from "./dialog.ts";
import { h } from "./dom.ts";
import { emoteBar } from "./emoteBar.ts";
import { helpDialog } from "./helpDialog.ts";
import { isTyping, listenToKeys } from "./keys.ts";
import { LinkBanner } from "./linkBanner.ts";
import type { BotCardActions } from "./people/botCard.ts";
import { PeoplePanel } from "./people/peoplePanel.ts";
import { playerDialog, type CardActions } from "./people/playerDialog.ts";
import type { PlayerActions } from "./people/playerRow.ts";
import { Prompts } from "./prompts.ts";
import { reportPlayerDialog } from "./reports.ts";
import { followRooms, roomsDialog } from "./rooms.ts";
import { SafetyCard } from "./safetyCard.ts";
import { SceneNotice } from "./sceneNotice.ts";
import { settingsDialog, type SettingsActions } from "./settingsDialog.ts";
import { Toasts } from "./toasts.ts";
import { TopBar } from "./topBar.ts";

export class WorldPage {
  readonly element: HTMLElement;
  readonly scene: SceneHolder;
  readonly chat: ChatPanel;
  readonly banner: LinkBanner;
  readonly toasts = new Toasts();
  readonly people: PeoplePanel;
  readonly #stage = h("div", { class: "stage" });
  readonly #loading = h("p", { class: "scene-loading", text: "scene.loading", attributes: { role: "status" } });
  readonly #notice = new SceneNotice(() => this.#try3D());
  readonly #prompts: Prompts;
  readonly #topBar: TopBar;
  /** Not a part of the page: it stays open when the player goes out to the door. */
  readonly safety: SafetyCard;
  #isInside = false;

  constructor(
    private readonly game: Game,
    private readonly actions: SettingsActions,
  ) {
    this.safety = new SafetyCard(game.safety, () => this.#safetyClosed());
    this.chat = new ChatPanel(game, (answer) => this.safety.show(answer));
    this.people = new PeoplePanel(game, this.#personActions(), () => this.#topBar.people.focus());
    this.#prompts = new Prompts(game, (bot) => this.talk(bot));
    this.#topBar = new TopBar(game, this.#barActions());
    this.banner = new LinkBanner(() => game.connection.comeBack());
    this.scene = new SceneHolder(game, this.#stage, this.#sceneEvents());
    const emotes = emoteBar((kind) => this.#emote(kind));
    this.element = h(
      "div",
      { class: "world" },
      this.#topBar.element,
      h(
        "main",
        { class: "world-main" },
        this.#stage,
        this.#loading,
        this.#notice.element,
        this.#prompts.element,
        this.#prompts.status,
        this.chat.element,
        emotes,
      ),
      this.people.element,
      this.banner.element,
      this.toasts.element,
      this.banner.cover,
    );
    this.#follow();
  }

  /** Show the 3D world or the list, as the settings say; the list if there is no 3D. */
  #showView(): void {
    if (this.game.settings.get("list")) this.scene.unload();
    else void this.scene.load();
    const isList = this.#isList;
    document.body.dataset.view = isList ? "list" : "scene";
    this.#topBar.showView(isList);
    this.#prompts.clear();
    this.#notice.show(this.scene.state);
  }

  /** Show the world, or keep it behind the door. */
  showInside(isInside: boolean): void {
    this.#isInside = isInside;
    this.element.inert = !isInside;
    if (isInside) this.#showView();
    else document.body.dataset.view = "door";
  }

  focusWorld(): void {
    if (this.scene.scene) this.scene.focus();
    else if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
  }

  /** Begin to talk to a bot. */
  talk(bot: BotId): void {
    this.people.close();
    this.chat.aim({ to: "bot", bot });
  }

  /** Say whether a player is blocked now. */
  blockChanged({ name }: ListedPlayer, blocked: boolean): void {
    this.toasts.show({ key: blocked ? "people.blocked" : "people.unblocked", params: { name } });
  }

  #follow(): void {
    followRooms(this.game);
    listenToKeys(() => this.#isInside, {
      chat: () => this.chat.open(),
      world: () => this.#escape(),
      stepThrough: () => void this.#prompts.stepThrough(),
      emote: (kind) => this.#emote(kind),
      people: () => this.#togglePeople(),
      view: () => this.#toggleView(),
      help: helpDialog,
      areShortcutsOn: () => this.game.settings.get("shortcuts"),
    });
    for (const name of ["focusin", "focusout", "close"]) document.addEventListener(name, () => this.#enableInput(), true);
    this.scene.onState((state) => {
      this.#loading.hidden = state !== "loading";
      document.body.dataset.scene = state;
      if (this.#isMissing && this.#isInside) this.#showView();
      if (state === "ready") this.#sceneReady();
    });
    this.#loading.hidden = true;
    this.game.settings.onChange((name) => name === "list" && this.#isInside && this.#showView());
    this.game.bus.on({
      staged: ({ bot }) => bot.stage === "new_version" && this.#learned(bot.bot, bot.version),
      reported: () => this.toasts.show("people.reported"),
      consented: () => this.toasts.show("settings.consented"),
    });
  }

  /** Keys move the avatar as soon as it is there, unless the player does something else already. */
  #sceneReady(): void {
    this.#enableInput();
    if (this.#isInside && (document.activeElement ?? document.body) === document.body) this.focusWorld();
  }

  #learned(bot: BotId, version: number): void {
    this.toasts.show({ key: "bot.new", params: { version }, keys: { bot: `bot.${bot}` } });
  }

  get #isList(): boolean {
    return this.game.settings.get("list") || this.#isMissing;
  }

  get #isMissing(): boolean {
    return this.scene.state === "failed" || this.scene.state === "lost";
  }

  #try3D(): void {
    this.scene.forgetFailure();
    this.game.settings.set("list", false);
  }

  /** The browser gives the focus back to where it was; without such a place, keys move the avatar again. */
  #safetyClosed(): void {
    if (this.#isInside && (document.activeElement ?? document.body) === document.body) this.focusWorld();
  }

  #escape(): void {
    this.people.close();
    this.focusWorld();
  }

  #emote(kind: EmoteKind): void {
    this.game.emote(kind);
  }

  #togglePeople(): void {
    if (this.people.isOpen) this.people.close();
    else this.people.open();
  }

  #toggleView(): void {
    this.scene.forgetFailure();
    this.game.settings.set("list", document.body.dataset.view !== "list");
  }

  /** After the browser has moved the focus, decide whether keys move the avatar. */
  #enableInput(): void {
    queueMicrotask(() => this.scene.inputEnabled(!isTyping() && !isDialogOpen() && this.#areLettersFree));
  }

  /** Without shortcuts, letters do something only while the world has the focus. */
  get #areLettersFree(): boolean {
    return this.game.settings.get("shortcuts") || this.#stage.contains(document.activeElement);
  }

  #barActions(): ConstructorParameters<typeof TopBar>[1] {
    return {
      rooms: () => roomsDialog(this.game),
      people: () => this.#togglePeople(),
      view: () => this.#toggleView(),
      settings: () => settingsDialog(this.game, this.scene, this.actions),
      help: helpDialog,
    };
  }

  #personActions(): PlayerActions & CardActions & BotCardActions {
    return {
      talk: (bot) => this.talk(bot),
      book: (bot) => void bookDialog(bot),
      whisper: (player) => this.#whisper(player),
      block: (player, blocked) => this.#block(player, blocked),
      mute: (player, muted) => this.#mute(player, muted),
      report: ({ seat, name, tag }) => reportPlayerDialog(this.game, { seat, name, tag }),
      card: (player) => this.#card(player),
    };
  }

  /** The card may have been open for long: the player may have left, or have another seat. */
  #whisper({ tag, name }: Player): void {
    const player = this.game.model.withTag(tag);
    if (player === undefined) {
      this.toasts.show({ key: "chat.left", params: { name } });
      return;
    }
    this.people.close();
    this.chat.aim({ to: "player", seat: player.seat });
  }

  #block(player: Player, blocked: boolean): void {
    this.game.block(player, blocked);
    this.blockChanged(player, blocked);
  }

  #mute(player: Player, muted: boolean): void {
    this.game.muted.set(player, muted);
    this.toasts.show({ key: muted ? "people.muted" : "people.unmuted", params: { name: player.name } });
  }

  #card(player: Player): void {
    const { blocked, muted } = this.game;
    playerDialog(player, { blocked: blocked.has(player), muted: muted.has(player) }, this.#personActions());
  }

  #sceneEvents(): SceneEvents {
    return {
      moved: (position) => this.game.moved(position),
      botChosen: (bot) => {
        const found = BOT_IDS.find((id) => id === bot);
        if (found) this.talk(found);
      },
      playerChosen: (seat) => {
        const player = this.game.model.players.get(seat);
        if (player) this.#card(player);
      },
      botNear: (bot) => this.#prompts.botNear(bot),
      portalNear: (index) => this.#prompts.portalNear(index),
      webPortalNear: (index) => this.#prompts.webPortalNear(index),
      placeEntered: (place) => this.#topBar.place(place),
    };
  }
}
