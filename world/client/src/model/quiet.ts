/** What is left of an event if the player has muted the one who says it. */

import type { WorldEvent } from "../net/messages.ts";

/**
 * Return the event without what a muted player says; null if nothing is left. A bot's answer to a muted player still ends
 * the bot's thinking. An answer with an id is this player's own: its seat may be another one's by now.
 */
export function quieted(event: WorldEvent, isMuted: (seat: number) => boolean): WorldEvent | null {
  if ((event.t === "said" || event.t === "whispered") && isMuted(event.seat)) return null;
  if (event.t === "answered" && event.id === "" && isMuted(event.seat)) return { ...event, question: "", text: "" };
  return event;
}
