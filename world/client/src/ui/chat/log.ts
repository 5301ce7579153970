/** The chat's log: one list of lines, which can be narrowed to whispers or to the bots' talk. */

import type { TextKey } from "../../i18n/ko.ts";
import { button, h } from "../dom.ts";
import { icon } from "../icons.ts";

export type LineKind = "public" | "whisper" | "bot" | "notice";
export type Filter = "all" | "whisper" | "bot";
/** What a line may be known by: its id in the world, the question that it asks, or the turn that it answers. */
export type LineName = "line" | "question" | "turn";

const MOST_LINES = 250;
const NEAR_END_PX = 48;
const FILTERS: readonly [Filter, TextKey][] = [
  ["all", "chat.all"],
  ["whisper", "chat.whispers"],
  ["bot", "chat.bots"],
];

export class ChatLog {
  readonly element: HTMLElement;
  readonly filters: HTMLElement;
  readonly #lines: HTMLElement;
  readonly #toEnd: HTMLButtonElement;
  readonly #buttons = new Map<Filter, HTMLButtonElement>();

  constructor() {
    this.#lines = h("div", {
      class: "lines",
      label: "chat.log",
      attributes: { role: "log", "aria-live": "polite", "aria-relevant": "additions", tabindex: "0" },
    });
    this.#toEnd = button({ class: "to-end", text: "chat.newLines", onClick: () => this.scrollToEnd() });
    this.#toEnd.hidden = true;
    this.#lines.addEventListener("scroll", () => {
      if (this.#isNearEnd()) this.#toEnd.hidden = true;
    });
    this.filters = h("div", { class: "filters", label: "chat.title", attributes: { role: "group" } });
    for (const [filter, text] of FILTERS) this.filters.append(this.#filterButton(filter, text));
    this.element = h("div", { class: "log" }, this.#lines, this.#toEnd);
    this.show("all");
  }

  /** Add a line at the end; scroll to it if the player was reading the end. */
  add(line: HTMLElement, kind: LineKind, isOwn = false): void {
    const wasNearEnd = this.#isNearEnd();
    line.dataset.kind = kind;
    line.classList.add("line", kind);
    this.#lines.append(line);
    while (this.#lines.children.length > MOST_LINES) this.#lines.firstElementChild?.remove();
    if (wasNearEnd || isOwn) this.scrollToEnd();
    else this.#toEnd.hidden = false;
  }

  /** Return the line with this name, if the log still has it. */
  find(name: LineName, id: string): HTMLElement | null {
    return this.#lines.querySelector(`[data-${name}="${CSS.escape(id)}"]`);
  }

  /** Hide what some players have said, and show the rest. */
  hideOf(isHidden: (tag: string) => boolean): void {
    for (const line of this.#lines.querySelectorAll<HTMLElement>("[data-tag]")) line.hidden = isHidden(line.dataset.tag ?? "");
  }

  /** Narrow the log. */
  show(filter: Filter): void {
    this.#lines.dataset.filter = filter;
    for (const [name, found] of this.#buttons) found.setAttribute("aria-pressed", String(name === filter));
    this.scrollToEnd();
  }

  scrollToEnd(): void {
    this.#lines.scrollTop = this.#lines.scrollHeight;
    this.#toEnd.hidden = true;
  }

  clear(): void {
    this.#lines.replaceChildren();
  }

  #isNearEnd(): boolean {
    const { scrollHeight, scrollTop, clientHeight } = this.#lines;
    return scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
  }

  #filterButton(filter: Filter, text: TextKey): HTMLButtonElement {
    const found = button({ class: "filter", onClick: () => this.show(filter) });
    if (filter !== "all") found.append(icon(filter === "bot" ? "star" : "whisper"));
    found.append(h("span", { text }));
    this.#buttons.set(filter, found);
    return found;
  }
}
