/** The keys of the texts that name bots and what they do. */

import type { TextKey } from "../i18n/ko.ts";
import { REASONS, SOURCES, type BotId, type Reason } from "../net/messages.ts";
import type { Stage } from "../scene/api.ts";
import { text } from "../i18n/language.ts";
import type { IconName } from "./icons.ts";

/** Return the key of a bot's name; an empty id means that the gateway no longer knows which bot it was. */
export function botNameKey(bot: BotId | ""): TextKey {
  return bot === "" ? "bot.someone" : `bot.${bot}`;
}

/** Return the key of the text for where an answer comes from. */
export function sourceKey(source: string): TextKey {
  const known = SOURCES.find((name) => name === source);
  return known ? `source.${known}` : "source.other";
}

/** Return why something was refused, and how long to wait. */
export function refusalText(reason: Reason, waitS: number): string {
  const known = REASONS.includes(reason) ? reason : "unavailable";
  const why = text(`reason.${known}`);
  return waitS > 0 ? `${why} ${text("wait", { wait: Math.ceil(waitS) })}` : why;
}

export const STAGE_ICONS: Readonly<Record<Stage, IconName>> = {
  asleep: "asleep",
  ready: "star",
  training: "book",
  candidate: "flask",
  new_version: "sparkle",
  muted: "moon",
  degraded: "wrench",
};
