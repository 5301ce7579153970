/** A bot in the list of people: what it does, what it has learned, and how to talk to it. */

import { localize } from "../../i18n/localize.ts";
import type { Asker } from "../../model/askers.ts";
import type { BotId } from "../../net/messages.ts";
import type { BotView } from "../../scene/api.ts";
import { button, h } from "../dom.ts";
import { icon } from "../icons.ts";
import { botNameKey, STAGE_ICONS } from "../names.ts";

export interface BotCardActions {
  talk(bot: BotId): void;
  book(bot: BotId): void;
}

export class BotCard {
  readonly element: HTMLElement;
  readonly #stage = h("p", { class: "bot-stage" });
  readonly #thinking = h("p", { class: "bot-thinking" });
  readonly #learned = h("p", { class: "hint" });

  constructor(bot: BotId, actions: BotCardActions) {
    const name = botNameKey(bot);
    this.#thinking.hidden = true;
    this.element = h(
      "li",
      { class: "bot-card", attributes: { "data-bot": bot } },
      h("div", { class: "bot-face" }, icon("star")),
      h(
        "div",
        { class: "bot-about" },
        h("h3", { text: name }),
        h("p", { class: "persona", text: `persona.${bot}` }),
        this.#stage,
        this.#thinking,
        this.#learned,
      ),
      h(
        "div",
        { class: "bot-buttons" },
        button({ class: "primary", text: "bot.talkShort", label: { key: "bot.talk", keys: { bot: name } }, onClick: () => actions.talk(bot) }),
        button({ text: "bot.bookShort", label: { key: "bot.book", keys: { bot: name } }, onClick: () => actions.book(bot) }),
      ),
    );
  }

  /** Show whose questions the bot thinks about. */
  showAskers([first, ...others]: readonly Asker[]): void {
    this.#thinking.hidden = first === undefined;
    if (first === undefined) return;
    const params = { name: first.name, others: others.length };
    localize(this.#thinking, others.length === 0 ? { key: "bot.thinkingOf", params } : { key: "bot.thinkingOfMany", params });
  }

  /** Show what the bot does now. */
  show(view: BotView): void {
    this.element.dataset.stage = view.stage;
    this.#stage.replaceChildren(icon(STAGE_ICONS[view.stage]), h("span", { text: `stage.${view.stage}` }));
    const { version, learned } = view;
    localize(this.#learned, version > 0 ? { key: "bot.learned", params: { version, learned } } : "bot.noVersion");
  }
}
