/** The lines of the chat, but for the bots' answers. */

import type { Wording } from "../../i18n/localize.ts";
import type { EventOf } from "../../net/messages.ts";
import { button, h } from "../dom.ts";
import { icon } from "../icons.ts";
import { botNameKey } from "../names.ts";

/** Return a notice, such as that somebody has come in. */
export function noticeLine(wording: Wording): HTMLElement {
  return h("div", {}, h("span", { class: "what", text: wording }));
}

/**
 * Return a line of the public chat.
 *
 * @param onReport opens the report of the line; null for the player's own lines.
 */
export function saidLine(event: EventOf<"said">, onReport: (() => void) | null): HTMLElement {
  const who = h("span", { class: onReport ? "who" : "who own" }, event.name);
  const line = h("div", {}, who, " ", h("span", { class: "what" }, event.text));
  if (onReport) line.append(lineReport(onReport));
  return line;
}

/**
 * Return a whisper, to this player or from it.
 *
 * @param onReport opens the report of the whisper; null for the player's own ones.
 */
export function whisperLine(event: EventOf<"whispered">, onReport: (() => void) | null): HTMLElement {
  const whose: Wording = onReport
    ? { key: "chat.whisperFrom", params: { name: event.name } }
    : { key: "chat.whisperTo", params: { name: event.to_name } };
  const who = h("span", { class: onReport ? "who" : "who own" }, h("span", { text: whose }));
  const line = h("div", {}, icon("whisper"), who, " ", h("span", { class: "what" }, event.text));
  if (onReport) line.append(lineReport(onReport));
  return line;
}

/** Return the player's own question, which says that the bot thinks until the answer comes. */
export function questionLine(name: string, event: Pick<EventOf<"thinking">, "bot" | "text">, isOwn: boolean): HTMLElement {
  return h(
    "div",
    {},
    h("span", { class: isOwn ? "who own" : "who" }, name),
    " ",
    h("span", { class: "to", text: { key: "chat.askTo", keys: { bot: botNameKey(event.bot) } } }),
    " ",
    h("span", { class: "what" }, event.text),
  );
}

/** Return the sign that a bot thinks. */
export function thinkingSign(): HTMLElement {
  return h("span", { class: "thinking" }, h("span", { text: "chat.thinking" }));
}

function lineReport(onReport: () => void): HTMLButtonElement {
  return button({ class: "line-report", label: "chat.reportLine", title: "chat.reportLine", onClick: onReport }, icon("report"));
}
