/** The page of one conversation: what was asked and answered in the day around a turn, in its order. */

import { button, h, type Child } from "../../ui/dom.ts";
import { isAbort, type OpsApi } from "../api.ts";
import type { DashboardInfo } from "../apiTypes.ts";
import { Names } from "../context.ts";
import { conversationAddress, failureWording, opsIcon, turnLink } from "../dom.ts";
import { cell, coded, interval, milliseconds, zone } from "../format.ts";
import { badge } from "../turn/parts.ts";
import { exchangesOf, type Exchange } from "./exchanges.ts";

const HALF_A_DAY_MS = 43_200_000;
/** How many turns the gateway is asked for at once. */
const AT_ONCE = 100;

export class ConversationPage {
  readonly element: HTMLElement;
  readonly #list = h("ol", { class: "exchanges", label: "ops.conversation.turns" });
  readonly #state = h("div", { class: "exchanges-state", attributes: { "aria-live": "polite" } });
  readonly #time = h("span", { class: "chip" });
  readonly #zone = h("p", { class: "hint" });
  readonly #names: Names;
  readonly #request = new AbortController();
  /** By the id of the turn: what is asked for again from the last moment on has the last turns again. */
  readonly #found = new Map<string, Exchange>();
  readonly #id: string;
  readonly #ends: { from: Date; to: Date };
  #hasMarked = false;

  constructor(
    private readonly api: OpsApi,
    info: DashboardInfo,
    { id, at }: { id: string; at: Date },
  ) {
    this.#names = new Names(info.bots);
    this.#id = id;
    this.#ends = { from: new Date(at.getTime() - HALF_A_DAY_MS), to: new Date(at.getTime() + HALF_A_DAY_MS) };
    const dayFrom = (days: number): string => conversationAddress(id, new Date(at.getTime() + days * 2 * HALF_A_DAY_MS).toISOString());
    this.element = h(
      "main",
      { class: "turn-page" },
      h("a", { class: "back", attributes: { href: "/ops" } }, opsIcon("back"), h("span", { text: "ops.back" })),
      h("h1", {}, h("span", { text: "ops.conversation.title" }), " ", h("code", {}, id)),
      h("p", { class: "hint", text: "ops.conversation.about" }),
      h(
        "p",
        { class: "days" },
        h("a", { text: "ops.conversation.earlier", attributes: { href: dayFrom(-1) } }),
        this.#time,
        h("a", { text: "ops.conversation.later", attributes: { href: dayFrom(1) } }),
      ),
      h("section", { class: "panel" }, this.#list, this.#state),
      this.#zone,
    );
    this.redraw();
    void this.#load(this.#ends.from.toISOString());
  }

  /** Draw again, in the language of now. */
  redraw(): void {
    this.#time.textContent = interval(this.#ends.from, this.#ends.to);
    this.#zone.textContent = "";
    this.#zone.append(h("span", { text: { key: "ops.zone", params: { zone: zone() } } }));
    this.#list.replaceChildren(...[...this.#found.values()].map((exchange) => this.#item(exchange)));
  }

  /** End for good. */
  dispose(): void {
    this.#request.abort();
  }

  /** Load turns from a time on. If a button asked for them, the focus goes to the first new one, or to the next button. */
  async #load(from: string): Promise<void> {
    const hadFocus = this.#state.contains(document.activeElement);
    const focus = (part: Element | null | undefined, selector: string): void => {
      if (hadFocus) part?.querySelector<HTMLElement>(selector)?.focus();
    };
    this.#say("ops.loading");
    const query = { conversation: this.#id, from, to: this.#ends.to.toISOString(), limit: String(AT_ONCE) };
    try {
      const exchanges = exchangesOf(await this.api.turns(query, this.#request.signal));
      const added = exchanges.filter(({ turn }) => !this.#found.has(turn));
      for (const exchange of added) this.#found.set(exchange.turn, exchange);
      const items = added.map((exchange) => this.#item(exchange));
      this.#list.append(...items);
      this.#offerMore(exchanges, added.length);
      focus(items[0], "a");
      this.#goToMarked();
    } catch (error) {
      if (isAbort(error)) return;
      const line = h("p", { class: "problem", text: failureWording(error) });
      this.#state.replaceChildren(line, button({ text: "ops.retry", onClick: () => void this.#load(from) }));
      focus(this.#state, "button");
    }
  }

  /** Say what comes after the turns that were just loaded. */
  #offerMore(exchanges: readonly Exchange[], added: number): void {
    const last = exchanges.at(-1);
    const hasMore = last !== undefined && exchanges.length >= AT_ONCE && added > 0;
    if (hasMore) this.#state.replaceChildren(button({ text: "ops.conversation.more", onClick: () => void this.#load(last.at) }));
    else if (this.#found.size === 0) this.#say("ops.conversation.none");
    else this.#state.replaceChildren();
  }

  #item(exchange: Exchange): HTMLElement {
    const { turn, at, bot, version, outcome, question, answer, latencyMs } = exchange;
    const isMarked = turn === marked();
    const who = version === 0 ? this.#names.bot(bot) : `${this.#names.bot(bot)} v${version}`;
    const facts: Child[] = [h("time", { attributes: { datetime: at } }, cell(at, "time")), badge(coded("ops.outcome", outcome), outcome === "model" ? "good" : "plain")];
    if (latencyMs !== null) facts.push(h("span", { class: "hint" }, milliseconds(latencyMs)));
    return h(
      "li",
      { class: "exchange bubbles", attributes: isMarked ? { "aria-current": "true" } : {} },
      h("p", { class: "exchange-facts" }, ...facts, turnLink(turn)),
      h("blockquote", { class: "bubble question" }, h("cite", { text: "ops.turn.question" }), h("p", {}, question)),
      h("blockquote", { class: "bubble answer-bubble" }, h("cite", {}, who), h("p", {}, answer)),
    );
  }

  /** Bring the turn that one came from into view, once. */
  #goToMarked(): void {
    const item = this.#list.querySelector("[aria-current]");
    if (!item || this.#hasMarked) return;
    this.#hasMarked = true;
    item.scrollIntoView({ block: "center" });
  }

  #say(wording: "ops.loading" | "ops.conversation.none"): void {
    this.#state.replaceChildren(h("p", { class: "panel-state", text: wording }));
  }
}

/** The id of the turn that the address names behind its `#`. */
function marked(): string {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}
