/** Chooses the time and the bot that the dashboard shows. */

import type { TextKey } from "../../i18n/language.ts";
import { button, field, h } from "../../ui/dom.ts";
import type { Names } from "../context.ts";
import { customRange, endsOf, LENGTHS, localInput, type Length, type View } from "../ranges.ts";

const TEXTS: Readonly<Record<Length, TextKey>> = { "1h": "ops.range.1h", "24h": "ops.range.24h", "7d": "ops.range.7d", "30d": "ops.range.30d", "1y": "ops.range.1y" };

export class RangeBar {
  readonly element: HTMLElement;
  readonly #buttons = new Map<Length | "custom", HTMLButtonElement>();
  readonly #bots = h("select", { label: "ops.bot" });
  readonly #form = h("form", { class: "custom-range" });
  readonly #from = h("input", { attributes: { type: "datetime-local", required: "" } });
  readonly #to = h("input", { attributes: { type: "datetime-local", required: "" } });
  readonly #problem = h("p", { class: "problem", attributes: { role: "alert" } });

  constructor(
    private view: View,
    private readonly names: Names,
    private readonly choose: (view: View) => void,
  ) {
    for (const length of LENGTHS) this.#buttons.set(length, button({ class: "segment", text: TEXTS[length], onClick: () => this.#set({ range: length }) }));
    this.#buttons.set("custom", button({ class: "segment", text: "ops.range.custom", attributes: { "aria-expanded": "false" }, onClick: () => this.#openForm() }));
    this.#bots.addEventListener("change", () => this.#set({ bot: this.#bots.value }));
    this.#buildForm();
    const ranges = h("div", { class: "segments", label: "ops.range", attributes: { role: "group" } }, ...this.#buttons.values());
    this.element = h("div", { class: "range-bar" }, ranges, h("div", { class: "bot-choice" }, this.#bots), this.#form);
    this.show();
  }

  /** Show the choice, in the language of now. */
  show(): void {
    const chosen = typeof this.view.range === "string" ? this.view.range : "custom";
    for (const [name, found] of this.#buttons) found.setAttribute("aria-pressed", String(name === chosen));
    const options = this.names.ids.map((id) => h("option", { attributes: { value: id } }, this.names.bot(id)));
    this.#bots.replaceChildren(h("option", { text: "ops.bot.all", attributes: { value: "" } }), ...options);
    this.#bots.value = this.names.ids.includes(this.view.bot) ? this.view.bot : "";
    if (chosen !== "custom") this.#showForm(false);
  }

  #buildForm(): void {
    const apply = h("button", { class: "primary", text: "ops.range.apply", attributes: { type: "submit" } });
    this.#form.noValidate = true;
    this.#form.append(field("ops.range.from", this.#from), field("ops.range.to", this.#to), apply, this.#problem);
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      const range = customRange(this.#from.value, this.#to.value);
      this.#problem.replaceChildren(...(range ? [] : [h("span", { text: "ops.range.wrong" })]));
      if (range) this.#set({ range });
    });
    this.#showForm(typeof this.view.range !== "string");
    this.#fill();
  }

  #openForm(): void {
    this.#showForm(this.#form.hidden !== false);
    if (this.#form.hidden) return;
    this.#fill();
    this.#from.focus();
  }

  #showForm(isOpen: boolean): void {
    this.#form.hidden = !isOpen;
    this.#buttons.get("custom")?.setAttribute("aria-expanded", String(isOpen));
  }

  #fill(): void {
    const { from, to } = endsOf(this.view.range, new Date());
    this.#from.value = localInput(from);
    this.#to.value = localInput(to);
  }

  #set(change: Partial<View>): void {
    this.view = { ...this.view, ...change };
    this.show();
    this.choose(this.view);
  }
}
