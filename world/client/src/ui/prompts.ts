/** What can be done where the player stands: talk to a bot, step through a portal, open a door to the web. */

import type { Game } from "../game/game.ts";
import { language, onLanguage } from "../i18n/language.ts";
import { worded, type Wording } from "../i18n/localize.ts";
import { portalTarget } from "../model/places.ts";
import { BOT_IDS, type BotId } from "../net/messages.ts";
import { button, h } from "./dom.ts";
import { icon, type IconName } from "./icons.ts";
import { botNameKey } from "./names.ts";
import { webPortalDialog } from "./webPortal.ts";

export class Prompts {
  readonly element = h("div", { class: "prompts" });
  /** Says it to screen readers; buttons in a status would be read again and again. */
  readonly status = h("p", { class: "unseen", attributes: { role: "status" } });
  #bot: BotId | null = null;
  #portal: number | null = null;
  #webPortal: number | null = null;

  constructor(
    private readonly game: Game,
    private readonly talk: (bot: BotId) => void,
  ) {
    onLanguage(() => this.#show());
  }

  botNear(bot: string | null): void {
    this.#bot = BOT_IDS.find((id) => id === bot) ?? null;
    this.#show();
  }

  portalNear(index: number | null): void {
    this.#portal = index;
    this.#show();
  }

  webPortalNear(index: number | null): void {
    this.#webPortal = index;
    this.#show();
  }

  /** Step through the door within reach. Returns whether there is one. */
  stepThrough(): boolean {
    const { portals } = this.game.session;
    const web = this.#webPortal === null ? undefined : portals[this.#webPortal];
    if (this.#portal !== null) this.game.travel(this.#portal);
    else if (web) webPortalDialog(web);
    return this.#portal !== null || web !== undefined;
  }

  clear(): void {
    this.#bot = this.#portal = this.#webPortal = null;
    this.#show();
  }

  #show(): void {
    const shown: HTMLElement[] = [];
    const said: string[] = [];
    const offer = (name: IconName, wording: Wording, key: string, act: () => void): void => {
      shown.push(prompt(name, wording, key, act));
      said.push(worded(wording));
    };
    const bot = this.#bot;
    const web = this.#webPortal === null ? undefined : this.game.session.portals[this.#webPortal];
    if (bot) offer("chat", { key: "prompt.talk", keys: { bot: botNameKey(bot) } }, "E", () => this.talk(bot));
    if (this.#portal !== null) {
      const params = { place: portalTarget(this.#portal, language()) };
      offer("portal", { key: "prompt.portal", params }, "F", () => this.stepThrough());
    } else if (web) {
      offer("globe", { key: "prompt.web", params: { title: web[language()] } }, "F", () => this.stepThrough());
    }
    this.element.replaceChildren(...shown);
    if (this.status.textContent !== said.join(", ")) this.status.textContent = said.join(", ");
  }
}

function prompt(name: IconName, text: Wording, key: string, act: () => void): HTMLElement {
  return button(
    { class: "prompt", onClick: act },
    icon(name),
    h("span", { text }),
    h("kbd", { attributes: { "aria-hidden": "true" } }, key),
  );
}
