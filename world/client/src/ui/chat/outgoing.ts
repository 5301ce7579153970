/** What the player wants to say, to whom, and why it cannot be said. */

import type { Wording } from "../../i18n/localize.ts";
import { BOT_IDS, MAX_CHAT_CHARS, type BotId } from "../../net/messages.ts";
import type { Lasting } from "../../net/unconfirmed.ts";
import { botNameKey } from "../names.ts";

/** The commands that come from the box. */
export type Spoken = Extract<Lasting, { t: "say" | "whisper" | "ask" }>;

export type Audience =
  | { to: "everyone" }
  | { to: "bot"; bot: BotId }
  | { to: "player"; seat: number }
  /** A player who has left while a text for it was in the box: the text must not go to anybody else. */
  | { to: "gone"; name: string }
  /** The player has to choose. */
  | { to: "nobody" };

export interface Outgoing {
  audience: Audience;
  text: string;
  /** Whether players near the bot may see it. */
  shared: boolean;
}

/** Return whom an option means. Nothing but the option of everyone means everyone: texts must not turn public. */
export function audienceOf(value: string, name: string): Audience {
  const [to, id = ""] = value.split(":");
  const bot = BOT_IDS.find((found) => found === id);
  if (to === "bot" && bot) return { to, bot };
  if (to === "player" && id !== "") return { to, seat: Number(id) };
  if (to === "gone") return { to, name };
  return { to: value === "everyone" ? value : "nobody" };
}

/** Return whether a command's text, sent to an audience, would be seen by those whom it was for and by nobody else. */
export function isFor(command: Spoken, audience: Audience, shared: boolean): boolean {
  if (command.t === "say") return audience.to === "everyone";
  if (command.t === "whisper") return audience.to === "player" && audience.seat === command.to;
  return audience.to === "bot" && audience.bot === command.bot && (command.shared || !shared);
}

/**
 * Return why a message cannot be sent; null if it can.
 *
 * @param isWaiting whether a question of this player waits for a bot's answer.
 */
export function problemOf({ audience, text }: Outgoing, isWaiting: (bot: BotId) => boolean): Wording | null {
  const count = [...text].length;
  if (count > MAX_CHAT_CHARS) return { key: "chat.tooLong", params: { most: MAX_CHAT_CHARS, count } };
  if (audience.to === "nobody") return "chat.choose";
  if (audience.to === "gone") return { key: "chat.gone", params: { name: audience.name } };
  if (audience.to === "bot" && isWaiting(audience.bot)) return { key: "chat.busyBot", keys: { bot: botNameKey(audience.bot) } };
  return null;
}
