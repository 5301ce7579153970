/** Sorts out events that were delivered before: by their number, and lines of the chat and answers also by their id. */

import type { Numbered } from "./messages.ts";

const KEPT_IDS = 500;

export class Inbox {
  #last: number | null = null;
  #isFirst = true;
  readonly #seen = new Set<string>();

  /** The number of the last event that was accepted; null before the first one. */
  get last(): number | null {
    return this.#last;
  }

  /** A new connection begins. A welcome as its first event begins a new count: the gateway had given the seat away. */
  connectionOpened(): void {
    this.#isFirst = true;
  }

  /** Return whether an event is new. */
  accept(event: Numbered): boolean {
    const isFirst = this.#isFirst;
    this.#isFirst = false;
    if (event.n > 0) {
      const isRestart = isFirst && event.t === "welcome";
      if (!isRestart && this.#last !== null && event.n <= this.#last) return false;
      this.#last = event.n;
    }
    return this.#isNewId(event);
  }

  #isNewId(event: Numbered): boolean {
    const id = idOf(event);
    if (id === null) return true;
    if (this.#seen.has(id)) return false;
    this.#seen.add(id);
    if (this.#seen.size > KEPT_IDS) this.#forgetOldest();
    return true;
  }

  #forgetOldest(): void {
    for (const id of this.#seen) {
      this.#seen.delete(id);
      return;
    }
  }
}

/**
 * Ids are the senders' choice, so the same id from two players is not the same line. A safety answer may still come for a
 * question that has ended without one, so the two ends are told apart.
 */
function idOf(event: Numbered): string | null {
  switch (event.t) {
    case "said":
    case "whispered":
      return `${event.t}/${event.seat}/${event.id}`;
    case "answered":
    case "unanswered":
      return event.id === "" ? null : `${event.t}/${event.id}`;
    default:
      return null;
  }
}
