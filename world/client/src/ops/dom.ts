/** Elements that several parts of the operators' page need. */

import type { Wording } from "../i18n/localize.ts";
import { svg, h, type Child } from "../ui/dom.ts";
import { OpsFailure } from "./api.ts";

const PATHS = {
  pause: "M8 5v14M16 5v14",
  play: "M7 4.500l12 7.500-12 7.500z",
  refresh: "M20 12a8 8 0 1 1-2.500-5.800M20 3.500v4.500h-4.500",
  table: "M4 5h16v14H4zM4 10h16M4 14.500h16M10 10v9",
  chart: "M4 4v16h16M8 15l4-5 3 3 5-7",
  away: "M10 5H5v14h14v-5M14 4h6v6M20 4l-9 9",
  back: "M14.500 5l-7 7 7 7",
} as const;

export type OpsIcon = keyof typeof PATHS;

/** Return an icon that says nothing to screen readers. */
export function opsIcon(name: OpsIcon): SVGSVGElement {
  const attributes = { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true", focusable: "false" };
  return svg("svg", attributes, svg("path", { d: PATHS[name] }));
}

/** Return a link to another page, in a new tab; only its text if the address is none of the web. */
export function awayLink(address: string, ...children: Child[]): HTMLElement {
  if (!isWebAddress(address)) return h("span", {}, ...children);
  const attributes = { href: address, target: "_blank", rel: "noopener noreferrer" };
  return h("a", { class: "away", attributes }, ...children, opsIcon("away"), h("span", { class: "unseen", text: "ops.newTab" }));
}

/** Whether an address leads to a page: `javascript:` and its like do not. */
export function isWebAddress(address: string): boolean {
  if (!URL.canParse(address)) return false;
  return ["http:", "https:"].includes(new URL(address).protocol);
}

/** The address of a turn's page. */
export function turnAddress(id: string): string {
  return `/ops/turn/${encodeURIComponent(id)}`;
}

/** Return a link to a turn's page, in a new tab. */
export function turnLink(id: string): HTMLElement {
  const label = { key: "ops.turn.open", params: { turn: id } } as const;
  const attributes = { href: turnAddress(id), target: "_blank", rel: "noopener" };
  return h("a", { class: "turn-link", label, title: label, attributes }, id.replace(/^bot_question-/, "#"));
}

/** The address of the part of a conversation around a time; with a turn's id, that turn is marked. */
export function conversationAddress(id: string, at: string, turn = ""): string {
  return `/ops/conversation?${new URLSearchParams({ id, at })}${turn === "" ? "" : `#${encodeURIComponent(turn)}`}`;
}

/** Return a link to the conversation that a turn belongs to, in a new tab. @param at when the turn was. */
export function conversationLink(id: string, at: string, turn: string): HTMLElement {
  const label = { key: "ops.conversation.open", params: { turn } } as const;
  return h("a", { class: "conversation-link", text: "ops.conversation", label, attributes: { href: conversationAddress(id, at, turn), target: "_blank", rel: "noopener" } });
}

/** A part that can be scrolled sideways on its own, also with the keyboard. */
export function scroller(label: Wording, content: HTMLElement): HTMLElement {
  return h("div", { class: "scroller", label, attributes: { role: "group", tabindex: "0" } }, content);
}

/** Say what went wrong. */
export function failureWording(error: unknown): Wording {
  if (!(error instanceof OpsFailure)) return { key: "ops.failure.other", params: { detail: String(error) } };
  if (error.kind === "rate") return { key: "ops.failure.rate", params: { seconds: Math.max(1, Math.ceil(error.waitS)) } };
  return { key: `ops.failure.${error.kind}`, params: { detail: error.detail } };
}
