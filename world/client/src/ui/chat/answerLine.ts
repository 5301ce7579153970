/** A bot's answer in the chat: who says it to whom, where it comes from, and what the player may say about it. */

import { fix, localize, type Wording } from "../../i18n/localize.ts";
import { MAX_CHAT_CHARS, type Answered, type EventOf, type Reason } from "../../net/messages.ts";
import { button, freeId, h } from "../dom.ts";
import { sendOnEnter } from "../enterKey.ts";
import { icon, type IconName } from "../icons.ts";
import { botNameKey, refusalText, sourceKey } from "../names.ts";

export interface AnswerActions {
  rate(turn: string, up: boolean): void;
  teach(turn: string, text: string): void;
  report(turn: string): void;
}

export interface AnswerViewer {
  /** This player asked. */
  isOwn: boolean;
  /** The player may see the record of the turn. */
  isOperator: boolean;
}

type NotedKind = EventOf<"noted">["kind"];

const NOTED: Readonly<Record<NotedKind, Wording>> = {
  up: "answer.notedUp",
  down: "answer.notedDown",
  correction: "answer.notedCorrection",
  report: "answer.notedReport",
};

export class AnswerLine {
  readonly element: HTMLElement;
  readonly #status = h("span", { class: "noted", attributes: { role: "status" } });
  readonly #up: HTMLButtonElement;
  readonly #down: HTMLButtonElement;
  #form: HTMLElement | null = null;

  constructor(
    private readonly answer: Answered,
    private readonly actions: AnswerActions,
    private readonly viewer: AnswerViewer,
  ) {
    this.#up = this.#action("up", "answer.up", () => this.#rate(true));
    this.#down = this.#action("down", "answer.down", () => this.#rate(false));
    const head = h("div", { class: "head" }, icon("star"), h("span", { class: "who", text: botNameKey(answer.bot) }));
    if (!viewer.isOwn) head.append(h("span", { class: "to", text: { key: "chat.answerTo", params: { name: answer.name } } }));
    head.append(h("span", { class: "source", text: sourceOf(answer) }));
    this.element = h("div", { class: "answer" }, head, h("p", { class: "what" }, answer.text));
    if (answer.turn !== "") this.element.append(this.#actions());
  }

  /** The gateway has noted a thumb, a correction or a report. */
  noted(kind: NotedKind): void {
    if (kind === "up" || kind === "down") this.#press(kind);
    this.#status.classList.remove("refused");
    localize(this.#status, NOTED[kind]);
  }

  /** The gateway refused it. */
  refused(reason: Reason, waitS: number): void {
    this.#press(null);
    this.#status.classList.add("refused");
    fix(this.#status, refusalText(reason, waitS));
  }

  #actions(): HTMLElement {
    const teach = button(
      { class: "teach", onClick: () => this.#toggleForm(teach), attributes: { "aria-expanded": "false" } },
      icon("teach"),
      h("span", { text: "answer.teach" }),
    );
    const report = this.#action("report", "answer.report", () => this.actions.report(this.answer.turn));
    const record = this.viewer.isOperator ? this.#record() : null;
    return h("div", { class: "answer-actions" }, this.#up, this.#down, teach, report, record, this.#status);
  }

  #record(): HTMLElement {
    const attributes = { href: `/ops/turn/${encodeURIComponent(this.answer.turn)}`, target: "_blank", rel: "noopener" };
    return h("a", { class: "record", text: "answer.record", attributes });
  }

  #action(name: IconName, wording: Wording, onClick: () => void): HTMLButtonElement {
    return button({ class: "small-icon", label: wording, title: wording, onClick }, icon(name));
  }

  #rate(up: boolean): void {
    this.#press(up ? "up" : "down");
    this.actions.rate(this.answer.turn, up);
  }

  #press(kind: "up" | "down" | null): void {
    this.#up.setAttribute("aria-pressed", String(kind === "up"));
    this.#down.setAttribute("aria-pressed", String(kind === "down"));
  }

  #toggleForm(opener: HTMLButtonElement): void {
    if (this.#form) {
      this.#closeForm(opener);
      return;
    }
    opener.setAttribute("aria-expanded", "true");
    const id = freeId("teach");
    const input = h("input", { id, attributes: { type: "text", maxlength: String(MAX_CHAT_CHARS), enterkeyhint: "send" } });
    const send = (): void => this.#teach(input, opener);
    const form = h(
      "form",
      { class: "teach-form" },
      h("label", {
        text: { key: "answer.teachLabel", keys: { bot: botNameKey(this.answer.bot) } },
        attributes: { for: id },
      }),
      h("div", { class: "row" }, input, button({ class: "primary", text: "answer.teachSend", onClick: send })),
    );
    form.addEventListener("submit", (event) => event.preventDefault());
    sendOnEnter(input, send);
    this.#form = form;
    this.element.append(form);
    input.focus();
    form.scrollIntoView({ block: "nearest" });
  }

  #teach(input: HTMLInputElement, opener: HTMLButtonElement): void {
    const text = input.value.trim();
    if (text === "") return;
    this.actions.teach(this.answer.turn, text);
    this.#closeForm(opener);
  }

  #closeForm(opener: HTMLButtonElement): void {
    this.#form?.remove();
    this.#form = null;
    opener.setAttribute("aria-expanded", "false");
    opener.focus();
  }
}

/** Say which version answered, or where the text comes from instead. */
function sourceOf(answer: Answered): Wording {
  return { key: sourceKey(answer.source), params: { version: answer.version } };
}
