/** The chat: follows the events, and sends what the player writes. */

import type { Wording } from "../../i18n/localize.ts";
import type { Game } from "../../game/game.ts";
import type { Answered, EventOf } from "../../net/messages.ts";
import type { Lasting } from "../../net/unconfirmed.ts";
import { button, h } from "../dom.ts";
import { icon } from "../icons.ts";
import { botNameKey, refusalText } from "../names.ts";
import { reportAnswerDialog, reportPlayerDialog } from "../reports.ts";
import { AnswerLine, type AnswerActions } from "./answerLine.ts";
import { Composer } from "./composer.ts";
import { noticeLine, questionLine, saidLine, thinkingSign, whisperLine } from "./lines.ts";
import { ChatLog } from "./log.ts";
import { problemOf, type Audience, type Outgoing } from "./outgoing.ts";

export class ChatPanel {
  readonly element: HTMLElement;
  readonly #log = new ChatLog();
  readonly #composer: Composer;
  readonly #opener: HTMLButtonElement;
  readonly #unread = h("span", { class: "unread", attributes: { "aria-hidden": "true" } });
  readonly #answers = new WeakMap<HTMLElement, AnswerLine>();

  /** @param onSafety shows a safety answer, which is never a line of the chat. */
  constructor(
    private readonly game: Game,
    private readonly onSafety: (answer: Answered) => void,
  ) {
    this.#composer = new Composer(
      game.model,
      (message) => problemOf(message, (bot) => game.waiting.of(bot) !== undefined),
      (message) => this.#send(message),
    );
    this.#opener = button({ class: "chat-opener", label: "chat.open", onClick: () => this.open() }, icon("chat"), this.#unread);
    const fold = button({ class: "icon-button fold", label: "chat.close", title: "chat.close", onClick: () => this.fold() }, icon("below"));
    const head = h("div", { class: "chat-head" }, this.#log.filters, fold);
    const panel = h("div", { class: "chat-panel", id: "chat" }, head, this.#log.element, this.#composer.element);
    this.element = h("section", { class: "chat", label: "chat.title" }, panel, this.#opener);
    this.#follow();
    this.#show(game.settings.get("chatOpen"));
  }

  /** Open the chat and write. */
  open(): void {
    this.#show(true);
    this.#composer.focus();
  }

  fold(): void {
    this.#show(false);
    this.#opener.focus();
  }

  /** Choose whom the next messages are for, and write. */
  aim(audience: Audience): void {
    this.#composer.aim(audience);
    this.open();
  }

  /** Add a notice. */
  notice(wording: Wording): void {
    this.#log.add(noticeLine(wording), "notice");
  }

  /** Say at the right place why the gateway refused commands. Returns whether one of them belongs here. */
  refused(refusal: EventOf<"refusal">, commands: readonly Lasting[]): boolean {
    const why = refusalText(refusal.reason, refusal.wait_s);
    for (const command of commands) {
      if (command.t === "say" || command.t === "whisper" || command.t === "ask") {
        if (!this.#composer.refused(why, command)) this.lost(command);
      } else if ("turn" in command) this.#answerOf(command.turn)?.refused(refusal.reason, refusal.wait_s);
      if (command.t === "teach") this.lost(command);
    }
    return commands.some((command) => command.t !== "report_player" && command.t !== "consent");
  }

  /** The gateway never confirmed a command. */
  lost(command: Lasting): void {
    if (command.t === "report_player") this.notice("report.lost");
    else if ("text" in command) this.notice({ key: "chat.lost", params: { text: command.text } });
  }

  /** Say that messages wait for the connection, if they do. */
  linkChanged(isOnline: boolean): void {
    this.#composer.note(!isOnline && this.game.connection.unconfirmed > 0 ? "chat.sending" : null);
  }

  clear(): void {
    this.#log.clear();
    this.#composer.clear();
  }

  #follow(): void {
    this.game.bus.on({
      welcome: (event) => this.#welcomed(event),
      joined: ({ player }) => this.notice({ key: "chat.joined", params: { name: player.name } }),
      left: ({ name }) => this.notice({ key: "chat.left", params: { name } }),
      said: (event) => this.#said(event),
      whispered: (event) => this.#whispered(event),
      thinking: (event) => this.#thinking(event),
      answered: (event) => this.#answered(event),
      unanswered: (event) => this.#unanswered(event),
      noted: ({ turn, kind }) => this.#answerOf(turn)?.noted(kind),
      hidden: ({ line }) => this.#log.find("line", line)?.remove(),
    });
    for (const list of [this.game.blocked, this.game.muted]) list.onChange(() => this.#log.hideOf((tag) => this.game.isQuiet({ tag })));
  }

  #welcomed({ room, players }: EventOf<"welcome">): void {
    if (players.length < 2) this.notice({ key: "chat.alone", params: { room } });
    else this.notice({ key: "chat.welcome", params: { room, players: players.length } });
  }

  #said(event: EventOf<"said">): void {
    const isOwn = event.seat === this.#seat;
    const report = (): void => reportPlayerDialog(this.game, event);
    const line = saidLine(event, isOwn ? null : report);
    line.dataset.line = event.line;
    this.#add(line, "public", event.seat);
  }

  #whispered(event: EventOf<"whispered">): void {
    const isOwn = event.seat === this.#seat;
    const report = (): void => reportPlayerDialog(this.game, event, true);
    this.#add(whisperLine(event, isOwn ? null : report), "whisper", event.seat);
  }

  /** Show this player's question, once: the gateway may say again that the bot thinks about it. */
  #thinking(event: EventOf<"thinking">): void {
    if (event.id === "") return;
    const line = this.#log.find("question", event.id) ?? this.#ask(event);
    if (line.querySelector(".thinking") === null) line.append(thinkingSign());
  }

  #ask({ id, seat, name, bot, text }: Pick<EventOf<"thinking">, "id" | "seat" | "name" | "bot" | "text">): HTMLElement {
    const line = questionLine(name, { bot, text }, id !== "");
    if (id !== "") line.dataset.question = id;
    this.#add(line, "bot", seat);
    return line;
  }

  #answered(event: Answered): void {
    const isOwn = event.id !== "";
    this.#stopThinking(event.id);
    if (event.source === "safety") {
      if (isOwn) this.onSafety(event);
      return;
    }
    if (event.text === "") return; // The question was private: only its end is seen.
    const isShown = isOwn && this.#log.find("question", event.id) !== null;
    if (!isShown && event.question !== "") this.#ask({ ...event, text: event.question });
    const line = new AnswerLine(event, this.#actions, { isOwn, isOperator: this.game.isOperator });
    this.#answers.set(line.element, line);
    if (event.turn !== "") line.element.dataset.turn = event.turn;
    this.#add(line.element, "bot", isOwn ? undefined : event.seat);
  }

  #unanswered({ id, bot, reason }: EventOf<"unanswered">): void {
    this.#stopThinking(id);
    this.notice({ key: `unanswered.${reason}`, keys: { bot: botNameKey(bot) } });
  }

  #stopThinking(id: string): void {
    if (id !== "") this.#log.find("question", id)?.querySelector(".thinking")?.remove();
  }

  #send({ audience, text, shared }: Outgoing): void {
    if (audience.to === "everyone") this.game.say(text);
    else if (audience.to === "player") this.game.whisper(audience.seat, text);
    else if (audience.to === "bot") this.game.ask(audience.bot, text, shared);
    this.linkChanged(this.game.connection.state.is === "online");
  }

  #answerOf(turn: string): AnswerLine | undefined {
    const line = this.#log.find("turn", turn);
    return line === null ? undefined : this.#answers.get(line);
  }

  /** @param seat the player who says it; undefined for a bot's answer to this player. */
  #add(line: HTMLElement, kind: "public" | "whisper" | "bot", seat: number | undefined): void {
    const isOwn = seat !== undefined && seat === this.#seat;
    const tag = seat === undefined ? undefined : this.game.model.players.get(seat)?.tag;
    if (tag !== undefined) line.dataset.tag = tag;
    this.#log.add(line, kind, isOwn);
    if (!this.game.settings.get("chatOpen") && !isOwn) this.#unread.classList.add("some");
  }

  #show(open: boolean): void {
    if (this.game.settings.get("chatOpen") !== open) this.game.settings.set("chatOpen", open);
    this.element.classList.toggle("open", open);
    if (!open) return;
    this.#unread.classList.remove("some");
    this.#log.scrollToEnd();
  }

  get #seat(): number | undefined {
    return this.game.model.me?.seat;
  }

  get #actions(): AnswerActions {
    return {
      rate: (turn, up) => this.game.rate(turn, up),
      teach: (turn, text) => this.game.teach(turn, text),
      report: (turn) => reportAnswerDialog(this.game, turn),
    };
  }
}
