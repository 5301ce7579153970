/** The first page: what this world is, who the player is, and what may be kept of it. */

import type { Game } from "../../game/game.ts";
import type { SceneHolder } from "../../game/sceneHolder.ts";
import { text } from "../../i18n/language.ts";
import { fix, localize } from "../../i18n/localize.ts";
import type { LinkState } from "../../net/connection.ts";
import { confirmDialog } from "../dialog.ts";
import { button, h } from "../dom.ts";
import { languageSwitch } from "../languageSwitch.ts";
import { refusalText } from "../names.ts";
import { guestForm } from "./guestForm.ts";
import { welcomeBack } from "./welcomeBack.ts";

export interface DoorActions {
  /** The session is made: enter the world. */
  enter(): void;
  forget(): Promise<void>;
  /** Ask the gateway again who this browser is. */
  retry(): void;
}

export class Door {
  readonly element: HTMLElement;
  readonly #card = h("div", { class: "card door-card" });
  readonly #problem = h("p", { class: "problem door-problem", attributes: { role: "alert" } });
  readonly #waiting = h("p", { class: "door-waiting", attributes: { role: "status" } });
  #refreshLooks: () => void = () => undefined;

  constructor(
    private readonly game: Game,
    private readonly scene: SceneHolder,
    private readonly actions: DoorActions,
  ) {
    this.element = h(
      "main",
      { class: "door" },
      h("div", { class: "door-sky", attributes: { "aria-hidden": "true" } }),
      h(
        "div",
        { class: "door-content" },
        languageSwitch((language) => game.settings.set("language", language)),
        h("div", { class: "door-title" }, h("h1", { text: "world.name" }), h("p", { class: "about", text: "door.about" })),
        this.#problem,
        this.#waiting,
        this.#card,
      ),
    );
    scene.onState(() => this.#refreshLooks());
  }

  /** Show the door for a new or a returning guest. */
  show(): void {
    this.#refreshLooks = () => undefined;
    if (this.game.session.guest) this.#showReturning();
    else this.#showForm();
  }

  /** Show why the player is at the door again; with the form if another name helps. */
  showProblem(text: string, isAboutName: boolean): void {
    if (isAboutName) this.#showForm();
    else this.show();
    this.#problem.textContent = text;
  }

  /** Say that the player is let in as soon as it is possible, if it has to wait. */
  showLink(state: LinkState): void {
    if (state.is === "waiting") {
      fix(this.#waiting, `${refusalText(state.reason, 0)} ${text("door.waiting")}`);
    } else if (state.is === "offline") {
      localize(this.#waiting, "link.offline");
    } else if (state.is !== "connecting") {
      fix(this.#waiting, "");
    }
  }

  /** The gateway did not answer. */
  showUnreachable(): void {
    this.#card.replaceChildren(
      h("p", { class: "problem", attributes: { role: "alert" }, text: "door.fail" }),
      button({ class: "primary", text: "retry", onClick: this.actions.retry }),
    );
  }

  #showReturning(): void {
    const { guest } = this.game.session;
    if (!guest) return;
    const content = welcomeBack(guest, this.game.look, {
      enter: () => this.#enter(),
      change: () => this.#showForm(),
      forget: () => this.#forget(),
    });
    this.#card.replaceChildren(content, this.#listChoice());
  }

  #showForm(): void {
    const { guest } = this.game.session;
    const form = guestForm(this.game, this.scene, () => this.#enter());
    this.#refreshLooks = form.refreshLooks;
    const back = button({ class: "quiet", text: "door.back", onClick: () => this.show() });
    this.#card.replaceChildren(form.element, this.#listChoice(), ...(guest ? [back] : []));
  }

  #enter(): void {
    this.#problem.textContent = "";
    this.actions.enter();
  }

  #forget(): void {
    confirmDialog("door.forgetAsk", "door.forgetAbout", "door.forget", () => void this.actions.forget());
  }

  /** The choice to do without 3D, before anything is drawn. */
  #listChoice(): HTMLElement {
    const { settings } = this.game;
    const box = h("input", { id: "door-list", attributes: { type: "checkbox" } });
    box.checked = settings.get("list");
    box.addEventListener("change", () => settings.set("list", box.checked));
    return h("div", { class: "check list-choice" }, box, h("label", { text: "door.list", attributes: { for: "door-list" } }));
  }
}
