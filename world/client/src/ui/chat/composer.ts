/** Where the player writes: the text, for whom it is, and who may see a talk with a bot. */

import { fix, localize, type Wording } from "../../i18n/localize.ts";
import { onLanguage, text as textOf } from "../../i18n/language.ts";
import type { WorldModel } from "../../model/world.ts";
import { BOT_IDS } from "../../net/messages.ts";
import { button, h } from "../dom.ts";
import { sendOnEnter } from "../enterKey.ts";
import { icon } from "../icons.ts";
import { botNameKey } from "../names.ts";
import { audienceOf, isFor, type Audience, type Outgoing, type Spoken } from "./outgoing.ts";

export class Composer {
  readonly element: HTMLElement;
  readonly #input = h("input", {
    class: "message",
    placeholder: "chat.placeholder",
    attributes: { type: "text", autocomplete: "off", enterkeyhint: "send", "aria-describedby": "composer-status" },
  });
  readonly #target = h("select", { class: "target", label: "chat.target" });
  readonly #sharing: HTMLElement;
  readonly #own: HTMLInputElement;
  readonly #shared: HTMLInputElement;
  readonly #status = h("p", { id: "composer-status", class: "status", attributes: { role: "status" } });

  /**
   * @param check returns why a message cannot be sent, or null.
   * @param send sends a message.
   */
  constructor(
    private readonly model: WorldModel,
    private readonly check: (message: Outgoing) => Wording | null,
    private readonly send: (message: Outgoing) => void,
  ) {
    const radios = sharingChoice();
    this.#sharing = radios.element;
    this.#own = radios.own;
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

  /**
   * Show why a message was not sent, and give its text back, unless the player writes the next one or would now send it to
   * others. Returns whether it was given back.
   */
  refused(why: string, command: Spoken): boolean {
    fix(this.#status, why);
    const isFree = this.#input.value === "" && isFor(command, this.#audience(), this.#shared.checked);
    if (isFree) this.#input.value = command.text;
    return isFree;
  }

  /** Forget the text and whom it is for. */
  clear(): void {
    this.#input.value = "";
    this.note(null);
    this.#own.checked = true;
    this.aim({ to: "everyone" });
  }

  /** Show a short state, such as that messages wait for the connection. */
  note(wording: Wording | null): void {
    if (wording === null) this.#status.replaceChildren();
    else localize(this.#status, wording);
  }

  #submit(): void {
    const text = this.#input.value.trim();
    if (text === "") return;
    const message = { audience: this.#audience(), text, shared: this.#shared.checked };
    const problem = this.check(message);
    this.note(problem);
    if (problem !== null) return;
    this.#input.value = "";
    this.#own.checked = true; // The next question is private unless the player says otherwise again.
    this.send(message);
  }

  #audience(): Audience {
    return audienceOf(this.#target.value, this.#target.selectedOptions[0]?.textContent ?? "");
  }

  #fill(): void {
    const isFirst = this.#target.options.length === 0;
    const chosen = this.#target.selectedOptions[0];
    const bots = h("optgroup", { attributes: { label: textOf("chat.botGroup") } });
    for (const bot of BOT_IDS) bots.append(option(`bot:${bot}`, textOf(botNameKey(bot))));
    this.#target.replaceChildren(option("everyone", textOf("chat.everyone")), bots);
    const players = h("optgroup", { attributes: { label: textOf("chat.playerGroup") } });
    for (const { seat, name, tag } of this.model.players.values()) players.append(option(`player:${seat}`, name, tag));
    if (players.children.length > 0) this.#target.append(players);
    this.#target.value = chosen ? this.#valueOf(chosen) : isFirst ? "everyone" : "";
    this.#targetChanged();
  }

  /**
   * Return the value that now means the same as an option of before. A player is known by the tag: the seat may be
   * another one's now. One who has left stays the target of a text that was begun, which must not go to everyone instead.
   */
  #valueOf({ value, textContent, dataset: { tag } }: HTMLOptionElement): string {
    if (tag === undefined) return value;
    const player = this.model.withTag(tag);
    if (player) return `player:${player.seat}`;
    if (this.#input.value.trim() === "") return "everyone";
    this.#target.append(option("gone:", textContent, tag));
    return "gone:";
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
    if (audience.to === "gone") return { key: "chat.input", params: { target: audience.name } };
    return audience.to === "everyone" ? "chat.inputAll" : "chat.placeholder";
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

function option(value: string, content: string, tag?: string): HTMLOptionElement {
  return h("option", { attributes: { value, ...(tag === undefined ? {} : { "data-tag": tag }) } }, content);
}

/** Return the choice between a private talk and one that others nearby may see. Private comes first. */
function sharingChoice(): { element: HTMLElement; own: HTMLInputElement; shared: HTMLInputElement } {
  const element = h("fieldset", { class: "sharing" }, h("legend", { class: "unseen", text: "chat.sharing" }));
  const [own, shared] = (["chat.private", "chat.shared"] as const).map((text) => {
    const radio = h("input", { attributes: { type: "radio", name: "sharing" } });
    element.append(h("label", {}, radio, h("span", { text })));
    return radio;
  }) as [HTMLInputElement, HTMLInputElement];
  own.checked = true;
  return { element, own, shared };
}
