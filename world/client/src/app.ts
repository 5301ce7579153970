/** Puts the parts together: the door and the world, one of which is shown. */

import { Game } from "./game/game.ts";
import { applySettings } from "./game/applySettings.ts";
import { followLayout } from "./game/compactLayout.ts";
import { guardQuality } from "./game/qualityGuard.ts";
import { installTestHook } from "./game/testHook.ts";
import { preferredLanguage, setLanguage } from "./i18n/language.ts";
import { wantedRoom } from "./model/wantedRoom.ts";
import { Settings } from "./model/settings.ts";
import { storageOf } from "./model/storage.ts";
import type { LinkState } from "./net/connection.ts";
import type { Reason } from "./net/messages.ts";
import { isOperator } from "./net/operator.ts";
import { deleteSession, getSession, RequestRefused } from "./net/session.ts";
import { closeDialogs } from "./ui/dialog.ts";
import { Door } from "./ui/door/door.ts";
import { refusalText } from "./ui/names.ts";
import { roomRefused } from "./ui/rooms.ts";
import { WorldPage } from "./ui/worldPage.ts";

/** Start the client in an empty page. */
export function startApp(root: HTMLElement): void {
  new App(root);
}

class App {
  readonly #game: Game;
  readonly #page: WorldPage;
  readonly #door: Door;
  #isInside = false;
  /** Only for the first entry: the player may want another room later. */
  #wantedRoom = wantedRoom(location.search);

  constructor(root: HTMLElement) {
    const settings = new Settings(storageOf("localStorage"), {
      language: preferredLanguage(navigator.languages),
      quality: "medium",
      autoQuality: true,
      evening: 0.7,
      textSize: 100,
      theme: "dark",
      reducedMotion: matchMedia("(prefers-reduced-motion: reduce)").matches,
      list: false,
      chatOpen: matchMedia("(min-width: 960px)").matches,
      shortcuts: true,
    });
    setLanguage(settings.get("language"));
    applySettings(settings);
    const showLayout = followLayout();
    settings.onChange((name) => name === "textSize" && showLayout());
    this.#game = new Game(settings);
    this.#page = new WorldPage(this.#game, { leave: () => this.#leave(), forget: () => void this.#forget() });
    this.#door = new Door(this.#game, this.#page.scene, {
      enter: () => this.#enter(),
      forget: () => this.#forget(),
      retry: () => void this.#begin(),
    });
    this.#listen();
    this.#show(false);
    root.replaceChildren(this.#door.element, this.#page.element, this.#page.safety.element);
    this.#page.safety.showKept();
    installTestHook(this.#game, this.#page);
    guardQuality(settings, this.#page.scene);
    void this.#begin();
  }

  #listen(): void {
    const { connection } = this.#game;
    this.#game.listen({
      link: (state) => this.#link(state),
      positions: (frame) => this.#page.scene.positions(frame),
      refused: (refusal, commands) => {
        if (roomRefused(refusal) || this.#page.chat.refused(refusal, commands)) return;
        this.#page.toasts.showText(refusalText(refusal.reason, refusal.wait_s));
      },
      lost: (command) => this.#page.chat.lost(command),
      blockRefused: (player, blocked) => this.#page.blockChanged(player, blocked),
    });
    window.addEventListener("online", () => connection.retryNow());
    window.addEventListener("pagehide", ({ persisted }) => !persisted && this.#game.pageHidden());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && connection.retryNow());
  }

  /** Ask who this browser is, and show the door. The scene loads after it. */
  async #begin(): Promise<void> {
    try {
      this.#game.session = await getSession();
      this.#door.show();
    } catch {
      this.#door.showUnreachable();
      return;
    }
    this.#page.people.refresh();
    if (!this.#game.settings.get("list")) afterFirstPicture(() => void this.#page.scene.load());
  }

  #enter(): void {
    void isOperator(storageOf("localStorage")).then((isIn) => (this.#game.isOperator = isIn));
    this.#game.connection.open(this.#wantedRoom);
    this.#wantedRoom = undefined;
  }

  #link(state: LinkState): void {
    this.#page.banner.show(state);
    this.#page.chat.linkChanged(state.is === "online");
    this.#door.showLink(state);
    if (state.is === "online" && !this.#isInside) this.#goInside();
    if (state.is === "refused") this.#turnedAway(state.reason, state.waitS);
  }

  #goInside(): void {
    this.#show(true);
    this.#page.focusWorld();
  }

  #turnedAway(reason: Reason, waitS: number): void {
    if (reason === "session") this.#game.session.guest = null;
    this.#goOutside();
    this.#door.showProblem(refusalText(reason, waitS), reason.startsWith("name_"));
  }

  #goOutside(): void {
    closeDialogs();
    this.#show(false);
    this.#page.chat.clear();
  }

  #leave(): void {
    this.#game.connection.close();
    this.#goOutside();
    this.#door.show();
  }

  async #forget(): Promise<void> {
    this.#game.connection.close();
    this.#goOutside();
    try {
      await deleteSession();
    } catch (error) {
      const { reason, waitS } = error instanceof RequestRefused ? error : new RequestRefused("unavailable", 0);
      this.#door.showProblem(refusalText(reason, waitS), false);
      return;
    }
    this.#game.forget();
    this.#page.safety.hide();
    this.#door.show();
    this.#page.toasts.show("door.forgotten");
  }

  #show(isInside: boolean): void {
    this.#isInside = isInside;
    this.#door.element.hidden = isInside;
    this.#page.showInside(isInside);
  }
}

/** Do something after the first picture is on the screen: drawing in 3D would keep the graphics from showing it. */
function afterFirstPicture(action: () => void): void {
  const name = "first-contentful-paint";
  if (performance.getEntriesByName(name).length > 0 || !PerformanceObserver.supportedEntryTypes.includes("paint")) {
    requestAnimationFrame(() => setTimeout(action, 0));
    return;
  }
  const observer = new PerformanceObserver((list) => {
    if (list.getEntriesByName(name).length === 0) return;
    observer.disconnect();
    action();
  });
  observer.observe({ type: "paint", buffered: true });
}
