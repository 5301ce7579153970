/** Where the player writes: the text, for whom it is, and who may see a talk with a bot. */

import { fix, localize, type Wording } from "../../i18n/localize.ts";
import { onLanguage, text as textOf } from "../../i18n/language.ts";
import type { WorldModel } from "../../model/world.ts";
import { BOT_IDS, MAX_CHAT_CHARS, type BotId } from "../../net/messages.ts";
import { button, h } from "../dom.ts";
import { sendOnEnter } from "../enterKey.ts";
import { icon } from "../icons.ts";
import { botNameKey } from "../names.ts";

export type Audience = { to: "everyone" } | { to: "bot"; bot: BotId } | { to: "player"; seat: number };

export interface Outgoing {
  audience: Audience;
  text: string;
  /** Whether players near the bot may see it. */
  shared: boolean;
}

export class Composer {
  readonly element: HTMLElement;
  readonly #input = h("input", {
    class: "message",
    placeholder: "chat.placeholder",
    attributes: { type: "text", autocomplete: "off", enterkeyhint: "send", "aria-describedby": "composer-status" },
  });
  readonly #target = h("select", { class: "target", label: "chat.target" });
  readonly #sharing: HTMLElement;
  readonly #shared: HTMLInputElement;
  readonly #status = h("p", { id: "composer-status", class: "status", attributes: { role: "status" } });

  /**
   * @param send sends a message; returns why it cannot be sent, or null.
   */
  constructor(
    private readonly model: WorldModel,
    private readonly send: (message: Outgoing) => Wording | null,
  ) {
    const radios = sharingChoice();
    this.#sharing = radios.element;
    this.#shared = radios.shared;
    const row = h("div", { class: "row" }, this.#input, this.#sendButton());
    this.element = h("form", { class: "composer" }, h("div", { class: "audience" }, this.#target, this.#sharing), row, this.#status);
    this.element.addEventListener("submit", (event) => event.preventDefault());
    sendOnEnter(this.#input, () => this.#submit());
    this.#input.addEventListener("input", () => this.#status.replaceChildren());
    this.#target.addEventListener("change", () => this.#targetChanged());
    model.onChange((part) => part !== "bots" && part !== "rooms" && this.#fill());
    onLanguage(() => this.#fill());
    this.#fill();
  }

  focus(): void {
    this.#input.focus();
  }

  /** Choose whom the next messages are for. */
  aim(audience: Audience): void {
    this.#target.value = valueOf(audience);
    this.#targetChanged();
  }

  /** Show why the last message was not sent, and give its text back unless the player writes the next one. */
  refused(why: string, text: string): void {
    fix(this.#status, why);
    if (this.#input.value === "") this.#input.value = text;
  }

  /** Show a short state, such as that messages wait for the connection. */
  note(wording: Wording | null): void {
    if (wording === null) this.#status.replaceChildren();
    else localize(this.#status, wording);
  }

  #submit(): void {
    const text = this.#input.value.trim();
    if (text === "") return;
    const count = [...text].length;
    if (count > MAX_CHAT_CHARS) {
      this.note({ key: "chat.tooLong", params: { most: MAX_CHAT_CHARS, count } });
      return;
    }
    const problem = this.send({ audience: this.#audience(), text, shared: this.#shared.checked });
    if (problem === null) this.#input.value = "";
    this.note(problem);
  }

  #audience(): Audience {
    const [to, id = ""] = this.#target.value.split(":");
    if (to === "bot") return { to, bot: id as BotId };
    if (to === "player") return { to, seat: Number(id) };
    return { to: "everyone" };
  }

  #fill(): void {
    const chosen = this.#target.value;
    const label = this.#target.selectedOptions[0]?.textContent ?? "";
    const bots = h("optgroup", { attributes: { label: textOf("chat.botGroup") } });
    for (const bot of BOT_IDS) bots.append(option(`bot:${bot}`, textOf(botNameKey(bot))));
    this.#target.replaceChildren(option("everyone", textOf("chat.everyone")), bots);
    const players = h("optgroup", { attributes: { label: textOf("chat.playerGroup") } });
    for (const { seat, name } of this.model.players.values()) players.append(option(`player:${seat}`, name));
    if (players.children.length > 0) this.#target.append(players);
    this.#target.value = chosen;
    if (this.#target.selectedIndex < 0) this.#keepTarget(chosen, label);
    this.#targetChanged();
  }

  /** Keep a player who has left as the target of a text that was begun: it must not go to everyone instead. */
  #keepTarget(chosen: string, label: string): void {
    if (this.#input.value.trim() === "" || !chosen.startsWith("player:")) {
      this.#target.value = "everyone";
      return;
    }
    this.#target.append(option(chosen, label));
    this.#target.value = chosen;
  }

  #targetChanged(): void {
    const audience = this.#audience();
    this.#sharing.hidden = audience.to !== "bot";
    this.element.dataset.to = audience.to;
    localize(this.#input, this.#inputLabel(audience), "aria-label");
  }

  #inputLabel(audience: Audience): Wording {
    if (audience.to === "bot") return { key: "chat.input", keys: { target: botNameKey(audience.bot) } };
    if (audience.to === "player") return { key: "chat.input", params: { target: this.model.nameOf(audience.seat) ?? "" } };
    return "chat.inputAll";
  }

  #sendButton(): HTMLButtonElement {
    const send = (): void => {
      this.#submit();
      this.#input.focus();
    };
    return button({ class: "send", label: "send", title: "send", onClick: send }, icon("send"));
  }
}

function valueOf(audience: Audience): string {
  if (audience.to === "bot") return `bot:${audience.bot}`;
  return audience.to === "player" ? `player:${audience.seat}` : "everyone";
}

function option(value: string, content: string): HTMLOptionElement {
  return h("option", { attributes: { value } }, content);
}

/** Return the choice between a private talk and one that others nearby may see. Private comes first. */
function sharingChoice(): { element: HTMLElement; shared: HTMLInputElement } {
  const element = h("fieldset", { class: "sharing" }, h("legend", { class: "unseen", text: "chat.sharing" }));
  const [own, shared] = (["chat.private", "chat.shared"] as const).map((text) => {
    const radio = h("input", { attributes: { type: "radio", name: "sharing" } });
    element.append(h("label", {}, radio, h("span", { text })));
    return radio;
  }) as [HTMLInputElement, HTMLInputElement];
  own.checked = true;
  return { element, shared };
}
