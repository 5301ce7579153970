/** What the player wants to say, to whom, and why it cannot be said. */

import type { Wording } from "../../i18n/localize.ts";
import { MAX_CHAT_CHARS, type BotId } from "../../net/messages.ts";
import { botNameKey } from "../names.ts";

export type Audience =
  | { to: "everyone" }
  | { to: "bot"; bot: BotId }
  | { to: "player"; seat: number }
  /** A player who has left while a text for it was in the box: the text must not go to anybody else. */
  | { to: "gone"; name: string };

export interface Outgoing {
  audience: Audience;
  text: string;
  /** Whether players near the bot may see it. */
  shared: boolean;
}

/**
 * Return why a message cannot be sent; null if it can.
 *
 * @param isWaiting whether a question of this player waits for a bot's answer.
 */
export function problemOf({ audience, text }: Outgoing, isWaiting: (bot: BotId) => boolean): Wording | null {
  const count = [...text].length;
  if (count > MAX_CHAT_CHARS) return { key: "chat.tooLong", params: { most: MAX_CHAT_CHARS, count } };
  if (audience.to === "gone") return { key: "chat.gone", params: { name: audience.name } };
  if (audience.to === "bot" && isWaiting(audience.bot)) return { key: "chat.busyBot", keys: { bot: botNameKey(audience.bot) } };
  return null;
}
